import { expect, it } from 'vitest';
import { page } from './page.ts';

it('escapes a page’s title, and leaves style and body as they are', () => {
  const html = page('a < b & c', 'em { color: red; }', '<em>text</em>');
  expect(html).toContain('<title>a &lt; b &amp; c</title>');
  expect(html).toMatch(/em \{ color: red; \}\n<\/style>/);
  expect(html).toContain('<body>\n<em>text</em>\n</body>');
});
