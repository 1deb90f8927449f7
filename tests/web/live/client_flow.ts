/**
 * What a program does that knows the API only by types that were generated from `docs/openapi.json`: an account, the
 * paper exchange, a strategy, START, its status, STOP. Prints what it saw as JSON.
 */
import createClient from 'openapi-fetch';
import type { components, paths } from './schema.d.ts';

type Status = components['schemas']['StrategyStatus'];

const PATIENCE_MS = 60_000;
const PAUSE_MS = 250;
const [baseUrl = '', email = '', buy_time = '', sell_time = ''] = process.argv.slice(2);

async function done<T>(answer: Promise<{ data?: T; error?: unknown; response: Response }>): Promise<T> {
  const { data, error, response } = await answer;
  if (data === undefined) throw new Error(`${response.status} of ${response.url}: ${JSON.stringify(error)}`);
  return data;
}

const api = createClient<paths>({ baseUrl });
const password = 'correct horse battery staple';
const { access_token } = await done(api.POST('/auth/register', { body: { email, password } }));
api.use({
  onRequest({ request }) {
    request.headers.set('Authorization', `Bearer ${access_token}`);
    return request;
  },
});

const account = await done(api.POST('/broker/paper'));
const wanted = { symbol: 'INFY', quantity: 5, stop_loss: 1, buy_time, sell_time };
const { strategy_id } = await done(api.POST('/strategy/create', { body: wanted }));
const started = await done(api.POST('/strategy/start', { body: { strategy_id } }));

const status = (): Promise<Status> =>
  done(api.GET('/strategy/status/{strategy_id}', { params: { path: { strategy_id } } }));
const phases: Status['phase'][] = [];
const deadline = Date.now() + PATIENCE_MS;
let seen = await status();
while (seen.phase !== 'holding' || seen.guard.state !== 'guarded') {
  if (phases.at(-1) !== seen.phase) phases.push(seen.phase);
  if (seen.phase === 'ended' || Date.now() > deadline) throw new Error(JSON.stringify(seen));
  await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  seen = await status();
}
phases.push(seen.phase);

await done(api.POST('/strategy/stop', { body: { strategy_id } }));
while (seen.phase !== 'ended' && Date.now() < deadline) seen = await status();
const refused = await api.POST('/strategy/start', { body: { strategy_id: strategy_id + 1_000_000 } });
console.log(
  JSON.stringify({
    broker: account.broker,
    broker_user_id: account.broker_user_id,
    buy_at: started.buy_at,
    phases,
    ended: seen,
    refused: refused.error?.code,
  }),
);
