// What the page shows. Everything goes in as text: nothing here makes HTML of a string.

export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.flat().filter((child) => child !== undefined));
  return node;
}

// listing is lines of [key, rest], the key set off.
function listing(lines) {
  const code = el('code');
  for (const [key, rest] of lines) code.append(...(key ? [el('b', {}, key)] : []), `${rest}\n`);
  return code;
}

export function figure(caption, label, lines, { status, wrap, all, hint, note } = {}) {
  const name = [wrap && 'wrap', all && 'all'].filter(Boolean).join(' ');
  return el('figure', {},
    el('figcaption', {}, caption, ...(hint ? [' ', el('span', {}, hint)] : []), ...(status ? [' ', status] : [])),
    el('pre', { ...(name && { class: name }), tabindex: '0', role: 'group', 'aria-label': label }, listing(lines)),
    note && el('p', { class: 'note' }, note));
}

// pairs are parameters as they are sent, one a line.
export function pairs(list, first, other) {
  return list.map((pair, i) => {
    const [name, value] = new URLSearchParams([pair]).toString().split('=');
    return [(i ? other : first) + name, `=${value}`];
  });
}

export function bodyLines(text) {
  let pretty = text;
  try {
    pretty = JSON.stringify(JSON.parse(text), null, 2);
  } catch {}
  return pretty.split('\n').map((row) => {
    const member = /^( *"(?:[^"\\]|\\.)*")(: .*)$/.exec(row);
    return member ? [member[1], member[2]] : ['', row];
  });
}

const SHOWN = ['Content-Type', 'Cache-Control', 'WWW-Authenticate', 'X-Request-Id'];
const NAMES = { 200: 'OK', 400: 'Bad Request', 401: 'Unauthorized', 403: 'Forbidden', 404: 'Not Found', 429: 'Too Many Requests', 503: 'Service Unavailable' };

// outcome is the status line; HTTP/2 has no reason phrase.
export const outcome = (x) => [x.status || '', x.statusText || NAMES[x.status] || ''].join(' ').trim();

export function exchange(x, title = '') {
  const { pathname } = new URL(x.url);
  const of = title && `, ${title}`;
  const sent = [[`${x.method} ${pathname}`, ''], ...x.headers.map(([name, value]) => [name, `: ${value}`])];
  if (x.form) sent.push(['', ''], ...pairs(x.form, '', '&'));
  const came = SHOWN.filter((name) => x.received.has(name)).map((name) => [name, `: ${x.received.get(name)}`]);
  const status = el('span', { class: `status ${x.served ? 'good' : 'bad'}` }, outcome(x));
  return [
    title && el('h2', {}, title),
    figure('Sent', `The request that was sent${of}`, sent),
    figure('Came back', `The answer that came back${of}`, [...came, ['', ''], ...bodyLines(x.text)], { status, wrap: !x.served }),
  ].filter(Boolean);
}

// why leads from a refusal to the line of the log that has the reason.
export function why(x) {
  const id = x.received.get('X-Request-Id');
  if (x.served || !id) return undefined;
  return el('div', { class: 'aside log' }, el('h2', {}, 'Why?'),
    el('p', {}, 'The answer says what a stranger may know. Which check failed is in the log: look in the terminal where ',
      el('code', {}, 'tallystick dev'), ' runs, for the ', el('code', {}, 'reason'), ' beside'),
    el('pre', { class: 'all', tabindex: '0', role: 'group', 'aria-label': 'The request id in the log' }, el('code', {}, `request_id=${id}`)));
}

const SAID = { held: 'Holds:', broken: 'Does not hold:', idle: 'Nothing to check:' };

export const hold = (list) => list.every((c) => c.result !== 'broken');

export function checks(list) {
  if (!list.length) return undefined;
  const all = hold(list);
  return el('figure', {},
    el('figcaption', {}, 'Compared ', el('span', { class: `status ${all ? 'good' : 'bad'}` }, all ? 'all of it holds' : 'does not hold')),
    el('ul', { class: 'checks', role: 'list' }, list.map((c) => el('li', { class: c.result },
      el('p', {}, el('span', { class: 'unseen' }, SAID[c.result]), ' ', el('code', {}, c.claim), ` ${c.rule}${c.result === 'broken' && c.got ? `; it is not: ${c.got}` : ''}`),
      ' ', el('a', { href: c.clause.url }, c.clause.label)))));
}

const calendar = new Intl.DateTimeFormat('en-GB', { dateStyle: 'full', timeStyle: 'medium', timeZone: 'UTC' });

function lapse(seconds) {
  const hours = seconds / 3600;
  return Number.isInteger(hours) ? `${hours} ${hours === 1 ? 'hour' : 'hours'}` : `${seconds} seconds`;
}

// moments are the claims that are times.
function moments(claims) {
  const named = ['auth_time', 'iat', 'nbf', 'exp'].filter((name) => claims[name] > 0 && claims[name] < 253402300800);
  return named.length ? el('dl', { class: 'times' }, named.map((name) => {
    const after = claims[name] - claims.iat;
    return el('div', {}, el('dt', {}, name), el('dd', {}, `${calendar.format(claims[name] * 1000)} UTC `,
      ...(after > 0 ? [el('span', {}, `${lapse(after)} after iat`)] : [])));
  })) : undefined;
}

// token is a token, decoded, with the checks that were made of it.
export function token(title, jwt, list = []) {
  if (!jwt) return el('section', { class: 'token' }, el('h2', {}, title), el('p', {}, 'This is not a JWT.'));
  const part = (name, value) => figure(name, `${name} of ${title}`, bodyLines(JSON.stringify(value)));
  const payload = part('Payload', jwt.claims);
  payload.append(moments(jwt.claims) ?? '');
  const [, , signature] = jwt.parts;
  return el('section', { class: 'token' }, el('h2', {}, title), part('Header', jwt.header), payload,
    el('p', { class: 'signature' }, el('span', {}, 'Signature'), ' ', el('code', {}, `${signature.slice(0, 10)}…${signature.slice(-10)}`),
      ' ', el('span', {}, `${jwt.signature.length} bytes`)),
    checks(list));
}

// halves are things to compare, one under the other.
export const halves = (list) => el('dl', { class: 'halves' }, list.map(([term, text]) => el('div', {}, el('dt', {}, term), el('dd', {}, text))));

const quote = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

// curl is an exchange as a command for a POSIX shell.
export function curl(program, x, note) {
  const words = x.headers.filter(([, value]) => value !== 'application/x-www-form-urlencoded').map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`);
  for (const pair of x.form ?? []) words.push(`-d ${quote(new URLSearchParams([pair]).toString())}`);
  const command = [`${program} -i ${quote(x.url)}`, ...words].join(' \\\n  ');
  return figure('The same as curl', 'The same request as a curl command', command.split('\n').map((row) => ['', row]), { all: true, hint: 'a click selects all of it', note });
}
