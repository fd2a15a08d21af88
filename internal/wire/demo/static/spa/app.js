// The page of the browser app: which step was taken, what came of it, and what can be pressed now. Tokens are kept
// in this page's memory and nowhere else; what a sign-in needs for its answer waits in the tab's session storage.
import * as client from './client.js';
import { decode, draw } from './jwt.js';
import * as show from './show.js';

const { el } = show;
const page = document.getElementById('app');
const told = document.getElementById('told');
const next = document.getElementById('next');
const status = document.getElementById('status');
const { issuer, client: clientID, home, callback, curl } = page.dataset;
const rail = [...document.querySelectorAll('.rail li')];
const order = rail.map((li) => li.dataset.step);

const FLOW = 'dev.spa.flow';
const LOGOUT = 'dev.spa.logout';
const SCOPE = 'openid profile email';
const FREE = ['userinfo', 'refresh', 'lost', 'replay', 'revoke', 'logout']; // may be pressed out of turn

const taken = new Set();
// chain is the refresh tokens of this sign-in, the oldest first.
const have = { meta: undefined, url: undefined, code: '', flow: undefined, accessToken: '', idToken: '', chain: [] };

// part is a piece of a step's text, for what came of it.
function part(step, name, came = '') {
  const pieces = [...document.getElementById(`step-${step}`).content.querySelectorAll(`[data-part="${name}"]`)];
  const piece = pieces.find((p) => !p.dataset.when || p.dataset.when.split(' ').includes(came));
  return piece?.cloneNode(true);
}

const words = (step, name, came) => part(step, name, came)?.textContent ?? '';

// present shows a step: body is what was sent and came back, more is what follows the rule.
function present(step, came, { body = [], more = [], refused = false, x } = {}) {
  const heading = part(step, 'heading', came);
  heading.tabIndex = -1;
  const rule = part(step, 'rule', came);
  told.replaceChildren(heading, part(step, 'story', came), ...body.filter(Boolean),
    ...(x ? [show.why(x)].filter(Boolean) : []),
    ...(rule ? [el('div', { class: 'aside rule' }, el('h2', {}, 'The rule'), rule)] : []),
    ...more.filter(Boolean),
    ...(x?.status ? [show.curl(curl, x, words(step, 'paste', came))] : []));
  const at = order.indexOf(step);
  if (at >= 0 && !refused) taken.add(step);
  rail.forEach((li, i) => {
    li.className = [taken.has(order[i]) && !(i === at && refused) && 'cut', i === at && 'here', i === at && refused && 'refused'].filter(Boolean).join(' ');
    if (i === at) li.setAttribute('aria-current', 'step');
    else li.removeAttribute('aria-current');
  });
  document.getElementById('count').textContent = at < 0 ? `${order.length} steps` : `step ${at + 1} of ${order.length}`;
  document.title = `${at < 0 ? '' : `${rail[at].textContent.trim()} · `}Browser app · Tallystick`;
  if (at >= 0) {
    status.textContent = x ? `${words(step, 'heading', came)}. ${show.outcome(x)}` : words(step, 'heading', came);
    window.scrollTo(0, 0);
    heading.focus({ preventScroll: true });
  }
}

// offer shows what can be pressed: one step first, and those that are possible besides.
function offer(step, { again = false, first = false } = {}) {
  const number = order.indexOf(step) + 1;
  const lead = again ? el('p', { class: 'again' }, `Refused. This is step ${number} again.`) : el('p', { class: 'count' }, 'Next');
  next.setAttribute('aria-label', 'The next step');
  next.replaceChildren(...(first ? [] : [lead]), el('h2', {}, `${number}. ${rail[number - 1].textContent.trim()}`), part(step, 'offer'), control(step));
  const others = FREE.filter((name) => name !== step && possible(name));
  if (others.length && have.accessToken) {
    const list = el('ul', { class: 'free', role: 'list' }, others.map((name) => el('li', {}, name === 'logout' ? button(name, () => insert(name)) : button(name))));
    next.append(el('h3', { class: 'count' }, 'Or out of turn'), list);
  }
  if (!first) next.append(el('p', { class: 'over' }, el('a', { href: home }, 'Start again from step 1')));
}

const possible = (name) => Boolean(have.accessToken) && (!['lost', 'replay'].includes(name) || have.chain.length > 1);

// control is what takes a step: a button, a link for the browser, or a form.
function control(step) {
  if (step === 'callback') return el('p', { class: 'go' }, el('a', { class: 'button', id: 'step-submit', href: have.url }, words(step, 'button')));
  if (step === 'logout') return logoutForm();
  const b = button(step);
  b.id = 'step-submit';
  return b;
}

function button(step, act = () => press(step)) {
  const b = el('button', { type: 'button' }, words(step, 'button'));
  b.addEventListener('click', act);
  return b;
}

// insert only offers the step: it is the browser that takes it.
function insert(step) {
  offer(step);
  document.getElementById('step-submit').focus();
}

// The form is posted, so that the ID token stays out of addresses (RP-Initiated Logout §2).
function logoutForm() {
  const state = draw();
  const fields = [['id_token_hint', have.idToken], ['post_logout_redirect_uri', home], ['state', state]];
  const form = el('form', { method: 'post', action: have.meta.end_session_endpoint },
    fields.map(([name, value]) => el('input', { type: 'hidden', name, value })),
    el('details', {}, el('summary', {}, 'What is sent'), show.halves(fields)),
    el('button', { type: 'submit', id: 'step-submit' }, words('logout', 'button')));
  form.addEventListener('submit', () => sessionStorage.setItem(LOGOUT, state));
  return form;
}

let busy = false;

async function press(step) {
  if (busy) return;
  busy = true;
  try {
    await steps[step]();
  } catch (err) {
    status.textContent = `This step has failed in the page itself: ${err.message}`;
    throw err;
  } finally {
    busy = false;
  }
}

const after = (step) => order[order.indexOf(step) + 1];

// conclude shows an exchange of a step and offers what follows.
function conclude(step, x, { checks = [], body = [], more = [] } = {}) {
  const came = x.served && show.hold(checks) ? 'served' : 'refused';
  present(step, came, { x, refused: came === 'refused', body: [...show.exchange(x), ...body, show.checks(checks)], more });
  offer(came === 'served' ? after(step) : step, { again: came === 'refused' });
}

// end says that the walk cannot go on.
function end(why) {
  next.setAttribute('aria-label', 'The end of the walk');
  next.replaceChildren(el('h2', {}, 'The walk ends here'), el('p', {}, why),
    el('p', { class: 'go' }, el('a', { class: 'button', id: 'step-submit', href: home }, 'Start again from step 1')));
}

// tokens validates what the token endpoint has answered, and takes it in if all is right. It tells whether it was,
// and what there is to show.
async function tokens(x, nonce) {
  const { access_token: accessToken = '', id_token: idToken, refresh_token: refreshToken } = x.json ?? {};
  const checks = [];
  const more = [];
  if (idToken) {
    const { json: jwks } = await client.send('GET', have.meta.jwks_uri);
    checks.push(...await client.checkIDToken(idToken, { jwks, issuer, clientID, nonce, accessToken }));
    if (have.idToken) checks.push(client.checkSubject(decode(idToken)?.claims.sub, have.idToken, 'is that of the ID token before', '§12.2', 'RefreshTokenResponse'));
    more.push(show.token('The ID token, decoded', decode(idToken), checks));
  }
  more.push(show.token('The access token, decoded', decode(accessToken)));
  const right = show.hold(checks);
  if (right) {
    Object.assign(have, { accessToken, idToken: idToken ?? have.idToken });
    if (refreshToken && refreshToken !== newest()) have.chain.push(refreshToken);
  }
  return { right, more };
}

// distrust shows tokens that are not taken.
function distrust(step, x, more) {
  present(step, 'distrusted', { x, refused: true, body: show.exchange(x), more });
  end('A check does not hold, so this page takes none of these tokens.');
}

const newest = () => have.chain.at(-1);

const steps = {
  async discover() {
    const x = await client.discover(issuer);
    const checks = x.served ? client.checkMetadata(x.json, issuer) : [];
    if (x.served && show.hold(checks)) have.meta = x.json;
    conclude('discover', x, { checks });
  },

  async request() {
    const { flow, url } = await client.begin(have.meta, clientID, callback, SCOPE);
    sessionStorage.setItem(FLOW, JSON.stringify(flow));
    have.url = url.href;
    const lines = [[url.origin + url.pathname, ''], ...show.pairs([...url.searchParams], '    ?', '    &')];
    present('request', '', { body: [
      show.halves([['Kept in this tab: the verifier', flow.verifier], ['Kept and sent: the state', flow.state], ['Kept and sent: the nonce', flow.nonce]]),
      show.figure('Where the browser goes', 'Where the browser goes', lines),
    ] });
    offer('callback');
  },

  async redeem() {
    const x = await client.redeem(have.meta, clientID, callback, have.code, have.flow.verifier);
    if (!x.served) return conclude('redeem', x);
    const { right, more } = await tokens(x, have.flow.nonce);
    return right ? conclude('redeem', x, { more }) : distrust('redeem', x, more);
  },

  async userinfo() {
    const x = await client.userinfo(have.meta, have.accessToken);
    const checks = x.served ? [client.checkSubject(x.json?.sub, have.idToken, 'is that of the ID token', '§5.3.2', 'UserInfoResponse')] : [];
    conclude('userinfo', x, { checks });
  },

  async refresh() {
    const before = newest();
    const x = await client.refresh(have.meta, clientID, before);
    if (!x.served) return conclude('refresh', x);
    const { right, more } = await tokens(x);
    if (!right) return distrust('refresh', x, more);
    return conclude('refresh', x, { checks: [client.checkRotated(before, x.json?.refresh_token)], body: [show.halves([['Before', before], ['After', newest()]])], more });
  },

  // The answer to a refresh is lost, so the token from before is all that the app has: it asks again.
  async lost() {
    const [parent, successor] = have.chain.slice(-2);
    const x = await client.refresh(have.meta, clientID, parent);
    const checks = x.served ? [client.checkSuccessor(successor, x.json?.refresh_token)] : [];
    conclude('lost', x, { checks, body: [show.halves([['Asked again with', parent], ['The successor, as answered the first time', successor], ...(x.served ? [['As answered now', x.json?.refresh_token]] : [])])] });
  },

  // Somebody has kept a token from before the parent. Who holds the newest cannot be told from a thief, so it ends, too.
  async replay() {
    const forward = await client.refresh(have.meta, clientID, newest());
    if (forward.served) await tokens(forward);
    const oldest = await client.refresh(have.meta, clientID, have.chain[0]);
    const last = await client.refresh(have.meta, clientID, newest());
    const checks = [
      client.checkRefused(oldest, 'is invalid_grant for the oldest token, which is older than the parent'),
      client.checkRefused(last, 'is invalid_grant for the newest one, too: the grant has ended'),
    ];
    const came = show.hold(checks) ? 'refused' : 'served';
    present('replay', came, {
      x: oldest, refused: true,
      body: [
        ...show.exchange(forward, 'The owner refreshes'), ...show.exchange(oldest, 'Somebody brings the oldest token'), ...show.exchange(last, 'The owner refreshes again'),
        show.checks(checks),
      ],
    });
    taken.add('replay');
    offer(after('replay'));
  },

  async revoke() {
    conclude('revoke', await client.revoke(have.meta, clientID, newest()));
  },
};

// answered is the callback: the page was loaded anew, with the answer in its address.
async function answered() {
  const answer = new URLSearchParams(window.location.search);
  const lines = [[`GET ${window.location.pathname}`, ''], ...show.pairs([...answer], '    ?', '    &')];
  // A code in the address bar is a code in the history, and in every copy of the address.
  history.replaceState(null, '', window.location.pathname);
  ['discover', 'request'].forEach((step) => taken.add(step));
  const flow = JSON.parse(sessionStorage.getItem(FLOW) ?? 'null') ?? undefined;
  const checks = client.checkAnswer(answer, flow, issuer);
  let came = 'code';
  if (![...answer].length) came = 'nothing';
  else if (!show.hold(checks)) came = 'foreign';
  else if (answer.get('error')) came = 'error';
  else if (!answer.get('code')) came = 'nothing';
  if (came === 'code' || came === 'error') sessionStorage.removeItem(FLOW);
  const body = [show.figure('What the page got', 'What the page got', lines), came === 'nothing' ? undefined : show.checks(checks)];
  if (came === 'error') {
    body.unshift(el('div', { class: 'aside log', id: 'oauth-error' }, el('h2', {}, 'The server’s answer'),
      el('p', {}, el('code', {}, answer.get('error')), ` ${answer.get('error_description') ?? ''}`)));
  }
  present('callback', came, { refused: came !== 'code', body });
  if (came !== 'code') {
    end('There is nothing to redeem. Begin it again, from this tab.');
    return;
  }
  Object.assign(have, { code: answer.get('code'), flow });
  const x = await client.discover(issuer);
  if (show.hold(client.checkMetadata(x.json, issuer))) have.meta = x.json;
  offer(have.meta ? 'redeem' : 'discover');
}

// returned is the first page after a logout; false if it is just the first page.
function returned() {
  const want = sessionStorage.getItem(LOGOUT);
  const answer = new URLSearchParams(window.location.search);
  if (!want || !answer.has('state')) return false;
  sessionStorage.removeItem(LOGOUT);
  history.replaceState(null, '', window.location.pathname);
  order.slice(0, -1).forEach((step) => taken.add(step));
  present('logout', '', { body: [
    show.figure('What the page got', 'What the page got', [[`GET ${window.location.pathname}`, ''], ...show.pairs([...answer], '    ?', '    &')]),
    show.checks([client.checkState(answer.get('state'), want)]),
  ] });
  next.setAttribute('aria-label', 'The end of the walk');
  next.replaceChildren(el('h2', {}, 'That was the walk'), part('logout', 'end'),
    el('p', { class: 'go' }, el('a', { class: 'button', href: '/dev' }, 'To the start')), el('p', { class: 'over' }, el('a', { href: home }, 'Walk through Browser app again')));
  return true;
}

page.hidden = false;
if (window.location.origin !== issuer || !window.isSecureContext) {
  present('elsewhere', window.isSecureContext ? 'origin' : 'insecure');
  next.remove();
} else if (window.location.href.startsWith(callback)) {
  await answered();
} else if (!returned()) {
  present('start', '', { body: [show.halves([['The issuer', issuer], ['Registered there: the client', clientID], ['Registered there: the redirect URI', callback]])] });
  offer('discover', { first: true });
}
