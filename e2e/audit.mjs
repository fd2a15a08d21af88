// The rules for accessible pages that every page is held to, in each scheme and at each width.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
const WIDTHS = { wide: { width: 1280, height: 800 }, narrow: { width: 360, height: 740 } };
const SCHEMES = ['light', 'dark'];

// axe gives up on the colours of all that stands in a box with a decoration of CSS's making, or on a gradient.
const PLAIN = '.card::before, .rail li::before { display: none } pre { background: var(--sunk) }';

// audit holds what a page shows to all the rules, and takes a picture of it if there is a name for one.
export async function audit(page, picture) {
  assert.equal(await page.locator('html').getAttribute('lang'), 'en');
  assert.equal(await page.locator('h1').filter({ visible: true }).count(), 1, 'headings of the first rank');
  assert.equal(await page.locator('script:not([src]), [style], [onclick]').count(), 0, 'a script or a style in the page');
  const before = page.viewportSize();
  await page.evaluate(AXE);
  const plain = (yes) => page.evaluate(([css, y]) => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    document.adoptedStyleSheets = y ? [sheet] : [];
  }, [PLAIN, yes]);
  for (const colorScheme of SCHEMES) {
    await page.emulateMedia({ colorScheme });
    for (const [width, size] of Object.entries(WIDTHS)) {
      await page.setViewportSize(size);
      await plain(true);
      const found = await page.evaluate((values) => axe.run({ runOnly: { type: 'tag', values } }), RULES);
      const named = (results) => results.map((v) => `${v.id}: ${v.nodes.map((n) => n.target)}`);
      assert.deepEqual(named(found.violations), [], `axe, ${colorScheme}, ${width}`);
      assert.deepEqual(named(found.incomplete), [], `axe cannot tell, ${colorScheme}, ${width}`);
      assert.ok(found.passes.some((p) => p.id === 'color-contrast'), 'axe has not looked at the colours');
      await plain(false);
      if (picture) await page.screenshot({ path: `${picture}-${width}-${colorScheme}.png`, fullPage: true });
    }
  }
  await page.setViewportSize({ width: 320, height: 568 });
  const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(beyond, 0, 'pixels to scroll sideways at 320');
  await page.setViewportSize(before);
  await page.emulateMedia({ colorScheme: null });
}

// pictures is where pictures of some pages go, by their names; nowhere unless the command asks for it.
export function pictures(names) {
  const at = process.argv.indexOf('--screenshots');
  return (name) => (at > 0 && names.includes(name) ? join(process.argv[at + 1], name) : undefined);
}

// focused tells the element that the keyboard is at, and whether one can see it.
export const focused = (page) => page.evaluate(() => {
  const e = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(e);
  return { id: e.id, name: e.textContent.trim(), seen: outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2 };
});

// tabTo goes on by the keyboard until it is at an element, by its id or its text.
export async function tabTo(page, wanted) {
  for (let i = 0; i < 120; i++) {
    await page.keyboard.press('Tab');
    const { id, name, seen } = await focused(page);
    if (id !== wanted && name !== wanted) continue;
    assert.ok(seen, `${wanted} has the focus, and one cannot see it`);
    return;
  }
  assert.fail(`the keyboard does not get to ${wanted}`);
}
