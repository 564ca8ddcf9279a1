// From a form to a run that is done, all of it clicked: a form and a workflow as documents, a record by the form, and publication.

import { demo } from '../lib/jackfield.mjs';
import { at, expect, signIn, test } from '../lib/browser.mjs';

const ROOM = '/console/applications/purchasing';

let jackfield;
test.beforeAll(async () => {
  jackfield = await demo();
  const { api, people } = jackfield;
  await api.connection({ connector: 'sandbox_api_key', name: 'Books', link_name: 'books' });
  await api.connect('books', { api_key: people.ada.key });
  await api.post('/v1/applications', { name: 'Purchasing' });
});
test.afterAll(() => jackfield?.stop());

for (const [how, javaScriptEnabled, name] of [['with', true, 'Acme'], ['without', false, 'Bergmann']]) {
  test.describe(`${how} JavaScript`, () => {
    test.use({ javaScriptEnabled });

    test('what somebody sends in is pushed, and is seen to be', async ({ page }) => {
      await signIn(page, jackfield, jackfield.founder, `${ROOM}/forms`);
      await page.getByRole('button', { name: 'Development' }).click();
      await page.getByRole('link', { name: /^(Make a form|New form)$/ }).click();
      await at(page, 'New form');
      await page.getByLabel('Name', { exact: true }).fill(`Vendors ${how}`);
      await page.getByLabel('Definition').fill('{"fields": [{"name": "vendor_name", "label": "Vendor", "pattern": "("}]}');
      await page.getByRole('button', { name: 'Make the form' }).click();
      await expect(page.getByRole('alert')).toContainText('definition.fields.0.pattern');
      await page.getByLabel('Definition').fill('{"fields": [{"name": "vendor_name", "label": "Vendor", "required": true}]}');
      await page.getByRole('button', { name: 'Make the form' }).click();
      await at(page, `Vendors ${how}`);

      await page.goto(`${jackfield.url}${ROOM}/workflows/new-workflow`);
      await page.getByLabel('Name', { exact: true }).fill(`Push ${how}`);
      const example = JSON.parse(await page.getByLabel('Definition').inputValue());
      expect(example.actions[0].integration).toMatchObject({ connection: 'books', operation: 'create' });
      example.form = `vendors_${how}`;
      example.actions[0].integration.module = 'vendor';
      example.actions[0].integration.mapping = { DisplayName: { field: 'vendor_name' } };
      await page.getByLabel('Definition').fill(JSON.stringify(example, null, 2));
      await page.getByRole('button', { name: 'Make the workflow' }).click();
      await at(page, `Push ${how}`);
      await expect(page.getByRole('table')).toContainText('DisplayName');

      await page.goto(`${jackfield.url}${ROOM}/forms/vendors_${how}/records`);
      await page.getByRole('link', { name: 'New record' }).click();
      await page.getByRole('button', { name: 'Send in' }).click();
      await expect(page.locator('.error')).toHaveCount(1);
      await page.getByLabel('Vendor').fill(name);
      await page.getByRole('button', { name: 'Send in' }).click();
      await at(page, name);
      await page.getByRole('link', { name: `Push ${how}` }).click();
      await expect(async () => {
        await page.reload();
        await at(page, `Push ${how} is done`);
      }).toPass();
      await page.locator('summary').getByText('What was sent').click();
      await expect(page.getByText(`"DisplayName": "${name}"`).first()).toBeVisible();
      const { total } = await jackfield.api.get(`/v1/proxy/books/vendors?display_name=${name}`);
      expect(total).toBe(1);

      await page.goto(`${jackfield.url}${ROOM}/publish`);
      await page.getByRole('button', { name: 'Publish to stage' }).click();
      await expect(page.getByRole('status')).toHaveText(/^Stage serves release \d+ from now on\.$/);
      await page.getByRole('button', { name: 'Publish to production' }).click();
      await expect(page.getByRole('status')).toHaveText(/^Production serves release \d+ from now on\.$/);
    });
  });
}
