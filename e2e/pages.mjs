// Every page of the console, in one place: what is here is tried in light and dark, at each width, with text at twice
// its size, and with hostile names. `cargo xtask tidy` compares this list with the routes of the server.
//
// A page is a route as the server writes it; braces are filled in from `with`, which may be a function of the world
// that `furnish` made; `before` makes what must be fresh. A `path` stands for a route that takes any. `who` is whose page it is: the founder's unless it says `nobody` or a role.

export const PAGES = [
  { route: '/signin', who: 'nobody' },
  { route: '/password-forgotten', who: 'nobody' },
  { route: '/setup', query: '?token=none', who: 'nobody', status: 404 },
  { route: '/invitations', query: (w) => `?token=${w.invitation}`, who: 'nobody' },
  { route: '/password-reset', query: (w) => `?token=${w.reset}`, who: 'nobody', status: 404 },

  { route: '/console/connections' },
  { route: '/console/connections', query: '?q=nothing+is+called+that', name: 'connections-none' },
  { route: '/console/connections', who: 'user', name: 'connections-user' },
  { route: '/console/connections/new' },
  { route: '/console/connections/new', query: '?kind=custom', name: 'new-custom' },
  { route: '/console/connections/new', query: '?q=nothing+is+called+that', name: 'new-none' },
  { route: '/console/connections/new/{connector}', with: { connector: 'sandbox' }, name: 'new-oauth' },
  { route: '/console/connections/new/{connector}', with: { connector: 'zoho_books' }, name: 'new-built-in' },
  { route: '/console/connections/{link}/authorize', with: { link: 'waiting' }, name: 'authorize-oauth' },
  { route: '/console/connections/{link}/move', with: { link: 'vendors' } },
  { route: '/console/connections/{link}/authorize', with: { link: 'split' }, name: 'authorize-key' },
  { route: '/console/connections/{link}/authorize', with: { link: 'vendors' }, query: (w) => `?replaces=${w.account}`, name: 'authorize-again' },
  // Begun just before: it ends after 90 seconds, and the page then looks again by itself.
  { route: '/console/flows/{id}', before: async (w) => { w.pending = await w.begin(); }, with: (w) => ({ id: w.pending }), name: 'flow-pending' },
  { route: '/console/flows/{id}', with: (w) => ({ id: w.cancelled }), name: 'flow-cancelled' },
  { route: '/console/connections/{link}/connected', with: { link: 'vendors' }, query: (w) => `?authorization=${w.account}` },

  { route: '/console/connections/{link}', with: { link: 'vendors' }, name: 'connection' },
  { route: '/console/connections/{link}', with: { link: 'waiting' }, name: 'connection-new' },
  { route: '/console/connections/{link}', with: { link: 'split' }, name: 'connection-split' },
  { route: '/console/connections/{link}', with: { link: 'paused' }, name: 'connection-disabled' },
  { route: '/console/connections/{link}', with: { link: 'own' }, name: 'connection-personal' },
  { route: '/console/connections/{link}', with: { link: 'own' }, who: 'user', name: 'connection-user' },
  { route: '/console/connections/{link}/playground', with: { link: 'vendors' } },
  { route: '/console/connections/{link}/usage', with: { link: 'vendors' } },
  { route: '/console/connections/{link}/calls', with: { link: 'vendors' } },
  { route: '/console/connections/{link}/history', with: { link: 'vendors' } },
  { route: '/console/connections/{link}/settings', with: { link: 'vendors' } },
  { route: '/console/connections/{link}/delete', with: { link: 'vendors' } },
  { route: '/console/connections/{link}/accounts/{id}', with: (w) => ({ link: 'vendors', id: w.account }) },
  { route: '/console/connections/{link}/accounts/{id}/setup', with: (w) => ({ link: 'vendors', id: w.account }) },
  { route: '/console/connections/{link}/accounts/{id}/revoke', with: (w) => ({ link: 'vendors', id: w.account }) },

  { route: '/console', name: 'overview' },
  { route: '/console', who: 'user', name: 'overview-user' },
  { route: '/console', who: 'developer', name: 'overview-developer' },
  { route: '/console/accounts' },
  { route: '/console/accounts', who: 'user', name: 'accounts-user' },

  { route: '/console/connectors' },
  { route: '/console/connectors', query: '?kind=custom', name: 'connectors-custom' },
  { route: '/console/connectors/new' },
  { route: '/console/connectors/import' },
  { route: '/console/connectors/{link}', with: { link: 'slack' }, name: 'connector-built-in' },
  { route: '/console/connectors/{link}', with: { link: 'described' }, name: 'connector-custom' },
  { route: '/console/connectors/{link}/edit', with: { link: 'described' } },
  { route: '/console/connectors/{link}/test', with: { link: 'described' } },
  { route: '/console/connectors/{link}/test', with: { link: 'sandbox' }, name: 'connectors-test-oauth' },
  { route: '/console/connectors/{link}/delete', with: { link: 'described' } },
  { route: '/console/connectors/{link}/versions', with: { link: 'described' } },

  { route: '/console/applications' },
  { route: '/console/applications', who: 'user', name: 'applications-user' },
  { route: '/console/applications/new-application' },
  { route: '/console/applications/new-from-template' },
  { route: '/console/applications/new-from-template/{template}', with: { template: 'vendor_onboarding' }, name: 'template' },
  { route: '/console/applications/new-from-template/{template}', with: { template: 'ticket_form' }, name: 'template-connect-first' },
  { route: '/console/applications/{link}/started', with: { link: 'portal' } },
  { route: '/console/applications/{link}', with: { link: 'portal' }, name: 'application' },
  { route: '/console/applications/{link}', with: { link: 'vendor_portal' }, name: 'application-empty' },
  { route: '/console/applications/{link}/allowed', with: { link: 'portal' } },
  { route: '/console/applications/{link}/components', with: { link: 'portal' } },
  { route: '/console/applications/{link}/keys', with: { link: 'portal' } },
  { route: '/console/applications/{link}/members', with: { link: 'portal' } },
  { route: '/console/applications/{link}/settings', with: { link: 'portal' } },
  { route: '/console/applications/{link}/delete', with: { link: 'portal' } },

  { route: '/console/applications/{link}/forms', with: { link: 'portal' } },
  { route: '/console/applications/{link}/forms', with: { link: 'vendor_portal' }, name: 'forms-none' },
  { route: '/console/applications/{link}/forms', with: { link: 'portal' }, who: 'user', name: 'forms-user' },
  { route: '/console/applications/{link}/forms/new-form', with: { link: 'portal' } },
  { route: '/console/applications/{link}/forms/new-document', with: { link: 'portal' } },
  { route: '/console/applications/{link}/forms/{form}', with: { link: 'portal', form: 'vendors' }, name: 'form' },
  { route: '/console/applications/{link}/forms/{form}/settings', with: { link: 'portal', form: 'vendors' }, name: 'form-settings' },
  { route: '/console/applications/{link}/forms/{form}/fields/new-field', with: { link: 'portal', form: 'vendors' }, query: '?type=currency', name: 'field-new' },
  { route: '/console/applications/{link}/forms/{form}/fields/new-field', with: { link: 'portal', form: 'vendors' }, query: '?type=file', name: 'field-file' },
  { route: '/console/applications/{link}/forms/{form}/fields/{field}', with: { link: 'portal', form: 'vendors', field: 'home' }, name: 'field' },
  { route: '/console/applications/{link}/forms/{form}/fields/{field}', with: { link: 'portal', form: 'vendors', field: 'kind' }, name: 'field-choices' },
  { route: '/console/applications/{link}/forms/{form}/fields/{field}/remove', with: { link: 'portal', form: 'vendors', field: 'vendor_name' }, name: 'field-remove' },
  { route: '/console/applications/{link}/forms/{form}', with: { link: 'portal', form: 'vendors' }, who: 'user', name: 'form-user' },
  { route: '/console/applications/{link}/forms/{form}/edit', with: { link: 'portal', form: 'vendors' } },
  { route: '/console/applications/{link}/forms/{form}/delete', with: { link: 'portal', form: 'vendors' } },
  { route: '/console/applications/{link}/forms/{form}/records', with: { link: 'portal', form: 'vendors' } },
  { route: '/console/applications/{link}/forms/{form}/records', with: { link: 'portal', form: 'later' }, name: 'records-unserved' },
  { route: '/console/applications/{link}/forms/{form}/records/new-record', with: { link: 'portal', form: 'vendors' } },
  { route: '/console/applications/{link}/forms/{form}/import', with: { link: 'portal', form: 'vendors' }, name: 'import' },
  { route: '/console/applications/{link}/forms/{form}/imports/{id}', with: (w) => ({ link: 'portal', form: 'vendors', id: w.import }), name: 'import-done' },
  { route: '/console/applications/{link}/forms/{form}/records/{id}', with: (w) => ({ link: 'portal', form: 'vendors', id: w.record }), name: 'record' },
  { route: '/console/applications/{link}/forms/{form}/records/{id}/edit', with: (w) => ({ link: 'portal', form: 'vendors', id: w.record }), name: 'record-edit' },
  { route: '/console/applications/{link}/forms/{form}/records/{id}/delete', with: (w) => ({ link: 'portal', form: 'vendors', id: w.record }), name: 'record-delete' },
  { route: '/console/applications/{link}/workflows', with: { link: 'portal' } },
  { route: '/console/applications/{link}/workflows', with: { link: 'vendor_portal' }, name: 'workflows-none' },
  { route: '/console/applications/{link}/workflows/new-workflow', with: { link: 'portal' } },
  { route: '/console/applications/{link}/workflows/new-workflow', with: { link: 'vendor_portal' }, name: 'workflow-no-form' },
  { route: '/console/applications/{link}/workflows/new-document', with: { link: 'portal' } },
  { route: '/console/applications/{link}/workflows/new-action', with: { link: 'portal' }, query: '?name=W&form=vendors&on=created&kind=integration', name: 'action-first' },
  { route: '/console/applications/{link}/workflows/{workflow}', with: { link: 'portal', workflow: 'push' }, name: 'workflow' },
  { route: '/console/applications/{link}/workflows/{workflow}/try', with: { link: 'portal', workflow: 'push' } },
  { route: '/console/applications/{link}/workflows/{workflow}/when', with: { link: 'portal', workflow: 'held' }, name: 'workflow-when' },
  { route: '/console/applications/{link}/workflows/{workflow}/actions/new-action', with: { link: 'portal', workflow: 'push' }, name: 'action-kinds' },
  { route: '/console/applications/{link}/workflows/{workflow}/actions/new-action', with: { link: 'portal', workflow: 'push' }, query: '?kind=integration&connection=vendors', name: 'action-operations' },
  { route: '/console/applications/{link}/workflows/{workflow}/actions/new-action', with: { link: 'portal', workflow: 'push' }, query: '?kind=integration&connection=vendors&module=vendor&operation=create', name: 'action-mapping' },
  { route: '/console/applications/{link}/workflows/{workflow}/actions/new-action', with: { link: 'portal', workflow: 'push' }, query: '?kind=invoke', name: 'action-call' },
  { route: '/console/applications/{link}/workflows/{workflow}/actions/{action}', with: { link: 'portal', workflow: 'push', action: 'push' }, name: 'action' },
  { route: '/console/applications/{link}/workflows/{workflow}/actions/{action}', with: { link: 'portal', workflow: 'push', action: 'note' }, name: 'action-record' },
  { route: '/console/applications/{link}/workflows/{workflow}/actions/{action}/remove', with: { link: 'portal', workflow: 'push', action: 'note' } },
  { route: '/console/applications/{link}/workflows/{workflow}/edit', with: { link: 'portal', workflow: 'push' } },
  { route: '/console/applications/{link}/workflows/{workflow}/delete', with: { link: 'portal', workflow: 'push' } },
  { route: '/console/applications/{link}/schedules', with: { link: 'portal' } },
  { route: '/console/applications/{link}/schedules', with: { link: 'vendor_portal' }, name: 'schedules-none' },
  { route: '/console/applications/{link}/schedules/new-schedule', with: { link: 'portal' } },
  { route: '/console/applications/{link}/schedules/new-fields', with: { link: 'portal' }, name: 'schedule-new-fields' },
  { route: '/console/applications/{link}/schedules/new-action', with: { link: 'portal' }, query: '?name=S&at.every=1h&kind=mail', name: 'schedule-action-first' },
  { route: '/console/applications/{link}/schedules/{schedule}/actions/new-action', with: { link: 'portal', schedule: 'nightly' }, name: 'schedule-action-kinds' },
  { route: '/console/applications/{link}/schedules/{schedule}/actions/new-action', with: { link: 'portal', schedule: 'nightly' }, query: '?kind=integration&connection=vendors&module=vendor&operation=create', name: 'schedule-action-mapping' },
  { route: '/console/applications/{link}/schedules/{schedule}/actions/{action}', with: { link: 'portal', schedule: 'nightly', action: 'look' }, name: 'schedule-action' },
  { route: '/console/applications/{link}/schedules/{schedule}/actions/{action}/remove', with: { link: 'portal', schedule: 'nightly', action: 'look' } },
  { route: '/console/applications/{link}/schedules/{schedule}', with: { link: 'portal', schedule: 'nightly' }, name: 'schedule' },
  { route: '/console/applications/{link}/schedules/{schedule}/fields', with: { link: 'portal', schedule: 'nightly' }, name: 'schedule-fields' },
  { route: '/console/applications/{link}/schedules/{schedule}/edit', with: { link: 'portal', schedule: 'nightly' } },
  { route: '/console/applications/{link}/schedules/{schedule}/delete', with: { link: 'portal', schedule: 'nightly' } },
  { route: '/console/applications/{link}/datasources', with: { link: 'portal' } },
  { route: '/console/applications/{link}/datasources', with: { link: 'vendor_portal' }, name: 'datasources-none' },
  { route: '/console/applications/{link}/datasources/new-datasource', with: { link: 'portal' } },
  { route: '/console/applications/{link}/datasources/{datasource}', with: { link: 'portal', datasource: 'all' }, name: 'datasource' },
  { route: '/console/applications/{link}/datasources/{datasource}', with: { link: 'portal', datasource: 'all' }, query: '?chart_by=id', name: 'datasource-chart' },
  { route: '/console/applications/{link}/datasources/new-fields', with: { link: 'portal' }, name: 'datasource-new-fields' },
  { route: '/console/applications/{link}/datasources/{datasource}/fields', with: { link: 'portal', datasource: 'all' }, name: 'datasource-fields' },
  { route: '/console/applications/{link}/datasources/{datasource}/edit', with: { link: 'portal', datasource: 'all' } },
  { route: '/console/applications/{link}/datasources/{datasource}/delete', with: { link: 'portal', datasource: 'all' } },
  { route: '/console/applications/{link}/payments', with: { link: 'portal' } },
  { route: '/console/applications/{link}/payments', with: { link: 'vendor_portal' }, name: 'payments-none' },
  { route: '/console/applications/{link}/payments/{id}', with: (w) => ({ link: 'portal', id: w.payment }), name: 'payment' },
  { route: '/console/applications/{link}/runs', with: { link: 'portal' } },
  { route: '/console/applications/{link}/runs', with: { link: 'vendor_portal' }, name: 'runs-none' },
  { route: '/console/applications/{link}/runs/{id}', with: (w) => ({ link: 'portal', id: w.failed }), name: 'run-failed' },
  { route: '/console/applications/{link}/runs/{id}', with: (w) => ({ link: 'portal', id: w.done }), name: 'run-done' },
  { route: '/console/applications/{link}/runs/{id}', with: (w) => ({ link: 'portal', id: w.held }), name: 'run-paused' },
  { route: '/console/applications/{link}/publish', with: { link: 'portal' } },
  { route: '/console/applications/{link}/publish', with: { link: 'vendor_portal' }, name: 'publish-none' },
  { route: '/console/applications/{link}/publish/{release}', with: { link: 'portal', release: '1' }, query: '?to=stage', name: 'roll-back' },

  { route: '/console/members' },
  { route: '/console/members', who: 'user', name: 'members-user' },
  { route: '/console/members/invite' },
  { route: '/console/members/{id}', with: (w) => ({ id: w.user.id }), name: 'member' },
  { route: '/console/members/{id}', with: (w) => ({ id: w.invited }), name: 'member-invited' },
  { route: '/console/members/{id}/remove', with: (w) => ({ id: w.user.id }) },
  { route: '/console/members/{id}/super-admin', with: (w) => ({ id: w.developer.id }) },

  { route: '/console/settings' },
  { route: '/console/settings', who: 'user', name: 'settings-user' },
  { route: '/console/settings/you' },
  { route: '/console/settings/connect' },
  { route: '/console/settings/sessions' },
  { route: '/console/settings/keys' },
  { route: '/console/settings/plan' },
  { route: '/console/settings/about' },
  { route: '/console/audit' },
  { route: '/console/audit/check' },

  { route: '/connect/{link}', with: { link: 'own' }, who: 'user', query: '?application=portal', name: 'connect-key' },
  { route: '/connect/{link}', with: { link: 'personal' }, who: 'user', name: 'connect-oauth' },
  { route: '/connect/{link}/done', with: { link: 'vendors' }, query: (w) => `?authorization=${w.account}` },
  { route: '/connect/flows/{id}', with: (w) => ({ id: w.own }), who: 'user', name: 'connect-flow' },

  { route: '/f/{organization}/{application}/{form}', with: (w) => ({ organization: w.organization, application: 'intake', form: 'contact' }), who: 'nobody', name: 'form' },
  { route: '/f/{organization}/{application}/{form}', with: (w) => ({ organization: w.organization, application: 'intake', form: 'contact' }), query: '?sent', who: 'nobody', name: 'form-sent' },
  { route: '/pay/{token}', with: (w) => ({ token: w.payer }), who: 'nobody', name: 'pay' },
  { route: '/console/fill/{application}/{form}', with: { application: 'intake', form: 'contact' }, query: '?environment=development', name: 'form-member' },

  { route: '/console/help/{page}', with: { page: 'members' } },
  { route: '/console/help/{page}', with: { page: 'console' }, name: 'help-console' },

  { route: '/console/styleguide' },

  // What is shown in the place of a page.
  { route: '/console/{*rest}', path: '/console/no-such-page', status: 404, name: 'no-such-page' },
  { route: '/console/connections/{link}', with: { link: 'no_such' }, status: 404, name: 'not-found' },
  { route: '/console/connections/{link}/authorize', with: { link: 'vendors' }, who: 'user', status: [403, 404], name: 'refused' },
];

/** Answers by GET that are no page of their own. */
export const NO_PAGES = ['/console/flows/{id}/state', '/flows/{id}/start', '/oauth/callback', '/'];

/** The address of a page in a world, without the origin. */
export function address(page, world) {
  const given = typeof page.with === 'function' ? page.with(world) : page.with ?? {};
  const query = typeof page.query === 'function' ? page.query(world) : page.query ?? '';
  return (page.path ?? page.route).replaceAll(/\{(\w+)\}/g, (_, name) => encodeURIComponent(given[name])) + query;
}

/** What to call a page in a test or a file. */
export const nameOf = (page) => page.name ?? (page.route.replaceAll(/\{\w+\}/g, '').split('/').filter(Boolean).join('-').replace(/^console-/, ''));

/** Waits until a run is in a state. */
export async function reaches(api, application, id, state) {
  const until = Date.now() + 20_000;
  for (;;) {
    const run = await api.get(`/v1/applications/${application}/runs/${id}`);
    if (run.state === state) return run;
    if (Date.now() > until) throw new Error(`${id} is ${run.state}, not ${state}: ${run.reason}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

/** Forms, workflows, records and runs of the application `portal`, published. */
async function build(api, world, word) {
  const portal = '/v1/applications/portal';
  const choices = [{ value: 'a', label: word('First', 100) }, { value: 'b' }];
  const fields = [
    { name: 'vendor_name', label: word('Vendor name'), help: word('As on the invoice'), required: true, unique: true },
    { name: 'note', type: 'multi_line', label: word('Note') },
    { name: 'count', type: 'number', min: 1, max: 9 },
    { name: 'price', type: 'currency', currency: 'EUR' },
    { name: 'email', type: 'email' },
    { name: 'day', type: 'date' },
    { name: 'moment', type: 'date_time' },
    { name: 'kind', type: 'dropdown', choices, default: 'a' },
    { name: 'tags', type: 'multi_select', choices },
    { name: 'agreed', type: 'checkbox', label: word('Agreed') },
    { name: 'who', type: 'name' },
    { name: 'home', type: 'address', visible_if: { field: 'kind', is: ['a'] } },
  ];
  await api.post(`${portal}/forms`, { name: word('Vendors'), link_name: 'vendors', definition: { description: word('Who is to be paid'), fields } });
  const workflow = (link, on, condition, actions) => api.post(`${portal}/workflows`, { name: word(link), link_name: link, definition: { form: 'vendors', on, condition, actions } });
  await workflow('push', 'created', undefined, [
    { name: 'push', integration: { connection: 'vendors', module: 'vendor', operation: 'create', mapping: { DisplayName: { field: 'vendor_name' }, Notes: { text: 'From {{ record.id }}' } } } },
    { name: 'note', condition: 'record.count', update_record: { set: { note: { expression: 'results.push.id|string' } } } },
  ]);
  await workflow('refused', 'edited', undefined, [
    { name: 'call', invoke: { connection: 'vendors', method: 'GET', url: '/no/such/thing', query: { word: word('x', 60) } } },
  ]);
  await workflow('held', 'edited', 'record.count', [
    { name: 'call', invoke: { connection: 'paused', method: 'GET', url: '/companies' } },
  ]);
  const look = { name: 'look', invoke: { connection: 'vendors', method: 'GET', url: '/vendors', query: { day: '{{ date }}' } } };
  await api.post(`${portal}/schedules`, { name: word('Nightly'), link_name: 'nightly', definition: { at: { cron: '0 3,15 * * 1-5', time_zone: 'Europe/Berlin' }, actions: [look] } });
  await api.post(`${portal}/datasources`, { name: word('All vendors'), link_name: 'all', definition: { connection: 'vendors', module: 'vendor', operation: 'list', key: '/Id' } });
  // A service that nobody can reach: what is asked for there is still being asked for.
  const till = { name: 'Till', link_name: 'till', base_url: 'https://till.invalid', auth: { type: 'none' },
    modules: { c: { fields: [{ name: 'id' }], operations: {
      create: { method: 'POST', path: '/c', result: '/id', idempotency: { in: 'header', name: 'Key' } },
      read: { path: '/c/{id}' }, end: { method: 'POST', path: '/c/{id}/end' } } } },
    payment: { checkout_hosts: ['till.invalid'], amounts: 'minor', url: '/url', amount: '/amount', currency: '/currency',
      states: [{ when: { '/status': 'paid' }, state: 'paid' }], create: { operation: 'c.create' },
      read: { operation: 'c.read', with: { id: '{payment.checkout}' } }, expire: { operation: 'c.end', with: { id: '{payment.checkout}' } } } };
  await api.connector(till);
  await api.connection({ connector: 'till', name: word('Till'), link_name: 'till' });
  await api.post('/v1/connections/till/authorizations', { account_name: word('Till') });
  await workflow('paid', 'created', 'record.count == 3', [
    { name: 'pay', payment: { connection: 'till', amount: { field: 'price' }, currency: 'EUR', description: word('A fee', 100) } },
  ]);
  await api.post(`${portal}/publish`, { to: 'stage', note: word('The first one'), anyway: true });
  await api.post(`${portal}/publish`, { to: 'production', anyway: true });
  await api.post(`${portal}/datasources/all/pull`, {});
  await api.post(`${portal}/forms`, { name: 'Later', definition: { fields: [{ name: 'title' }] } });
  const records = `${portal}/forms/vendors/records`;
  const data = { vendor_name: word('Acme', 90), note: word('Two\nlines'), count: 3, price: '12.50', tags: ['a', 'b'], who: { first: word('Ada', 60), last: 'Okafor' } };
  const made = await api.post(records, { data });
  world.record = made.id;
  [world.done] = made.runs;
  await reaches(api, 'portal', world.done, 'succeeded');
  const file = { csv: `vendor_name,count\n${word('Bolt', 60)},many\n${word('Core', 60)},1\n`, workflows: false };
  world.import = (await api.post(`${portal}/forms/vendors/imports`, file)).id;
  while ((await api.get(`${portal}/forms/vendors/imports/${world.import}`)).state === 'running') {
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
  for (const until = Date.now() + 20_000; !world.payment;) {
    const { items: [payment] } = await api.get(`${portal}/payments`);
    if (payment) {
      world.payment = payment.id;
      world.payer = (await api.get(`${portal}/payments/${payment.id}`)).page.split('/').pop();
    } else if (Date.now() > until) throw new Error('nothing was asked for');
    else await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
  const edited = await api.send('PATCH', `${records}/${made.id}`, { data: { count: 4 } });
  for (const id of edited.runs) {
    const { workflow: link } = await api.get(`${portal}/runs/${id}`);
    if (link === 'held') world.held = (await reaches(api, 'portal', id, 'paused')).id;
    else world.failed = (await reaches(api, 'portal', id, 'failed')).id;
  }
  await api.post(`${portal}/members`, { member: world.user.id });
}

/**
 * Fills a Jackfield, as `demo` starts it, with something of every kind. `word` goes into every name that a person may choose; link names stay
 * as they are, so that pages are found.
 */
export async function furnish(jackfield, word = (name, most) => name) {
  const { api, people } = jackfield;
  const world = {};
  const key = people.ada.key;

  world.user = await api.person('Una', 'user');
  world.developer = await api.person('Dev', 'developer');
  for (const person of [world.user, world.developer]) await api.send('PATCH', `/v1/members/${person.id}`, { name: word(person.name) });
  const { member, invitation } = await api.post('/v1/members', { email: 'new@acme.example', name: word('Newcomer'), role: 'developer' });
  Object.assign(world, { invited: member.id, invitation: invitation.token, reset: 'none' });
  // A grey on which hardly anything can be read, and a picture that would run if it were more than a picture.
  const picture = '<svg xmlns="http://www.w3.org/2000/svg" width="96" height="32" onload="alert(1)"><script>alert(2)</script><rect width="96" height="32"/></svg>';
  const logo = `data:image/svg+xml;base64,${Buffer.from(picture).toString('base64')}`;
  const brand = { name: word('Acme portal'), colour: '#777777', logo };
  await api.send('PATCH', '/v1/organization', { name: word(jackfield.organization), brand });

  const connection = (connector, link, more = {}) => api.connection({ connector, name: word(link), link_name: link, ...more });
  await connection('sandbox_api_key', 'vendors');
  world.account = (await api.connect('vendors', { api_key: key }, { account_name: word('Books of Ada') })).id;
  await api.connect('vendors', { api_key: key }, { account_name: word('Another account') });
  await connection('sandbox', 'waiting');
  await connection('sandbox_api_key', 'split', { same_authorization: false });
  await api.connect('split', { api_key: key }, { account_name: word('Trying out'), environments: ['stage'] });
  await connection('sandbox_api_key', 'paused');
  await api.connect('paused', { api_key: key });
  await api.post('/v1/connections/paused/disable');
  await connection('sandbox_api_key', 'own', { level: 'user' });
  await world.user.api.connect('own', { api_key: key }, { account_name: word('My own') });

  await connection('sandbox', 'personal', { level: 'user' });

  const begin = async (link, who = api) => (await who.post(`/v1/connections/${link}/authorizations`, { account_name: word('Coming') })).flow.id;
  world.own = await begin('personal', world.user.api);
  world.cancelled = await begin('waiting');
  await api.send('DELETE', `/v1/flows/${world.cancelled}`);
  world.begin = () => begin('waiting');
  world.pending = await world.begin();

  const call = (url) => api.post('/v1/connections/vendors/invoke', { method: 'GET', url, environment: 'production', detailed: true }).catch(() => {});
  for (const url of ['/companies', '/vendors', '/no/such/thing', `/${encodeURIComponent(word('x', 60))}`, 'https://elsewhere.example/']) await call(url);

  // A custom connector that nobody else described.
  await api.connector({
    name: 'Described here',
    link_name: 'described',
    description: word('A service of our own', 200),
    base_url: jackfield.sandbox,
    hosts: [new URL(jackfield.sandbox).host],
    levels: ['admin', 'user'],
    auth: { type: 'api_key', fields: [{ name: 'key', label: word('Key', 50), help: word('Where to find it', 200), secret: true, required: true, in: 'header', as: 'X-Key' }] },
  });
  await connection('described', 'of_described');

  await api.post('/v1/applications', { name: word('Portal'), link_name: 'portal', description: word('What it is for', 200) });
  await api.post('/v1/applications/portal/keys', { name: word('Nightly'), environment: 'production', expires_in_days: 30 });
  await api.post('/v1/applications/portal/members', { member: world.developer.id });
  await api.send('PUT', '/v1/applications/portal/components/workflow:orders', { connections: ['vendors', 'split'] });
  await api.post('/v1/me/keys', { name: word('From a terminal') });
  await build(api, world, word);

  // A form with a field of every type, for everybody.
  const choices = [{ value: 'a', label: word('First', 200) }, { value: 'b', label: word('Second', 200) }];
  const types = ['single_line', 'multi_line', 'number', 'decimal', 'email', 'phone', 'url', 'date', 'date_time', 'time', 'checkbox', 'name', 'address'];
  const fields = [
    ...types.map((type) => ({ name: `of_${type}`, type, label: word(`A ${type.replace('_', ' ')}`, 200), help: word('What is meant', 200), required: type === 'single_line' })),
    ...['dropdown', 'radio', 'multi_select'].map((type) => ({ name: `of_${type}`, type, label: word(`A ${type}`, 200), choices })),
    { name: 'more', label: word('More', 200), visible_if: { field: 'of_radio', is: ['b'] } },
  ];
  const definition = { access: 'public', description: word('What we ask', 200), submit_label: word('Send it', 100), thanks: word('Thank you', 200), fields };
  await api.post('/v1/applications', { name: word('Intake'), link_name: 'intake' });
  await api.post('/v1/applications/intake/forms', { name: word('Contact'), link_name: 'contact', definition });
  for (const to of ['stage', 'production']) await api.post('/v1/applications/intake/publish', { to });
  world.organization = (await api.get('/v1/organization')).id;
  return world;
}
