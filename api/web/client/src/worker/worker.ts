/// <reference lib="webworker" />
/**
 * The service worker: holds the files of one version, answers from them when there is no network, and shows pushes.
 * It never keeps an answer of the API: what is shown is either heard now, or said to be old.
 */

// The page and the worker share a tsconfig, whose DOM types give `self` another type.
const worker = self as unknown as ServiceWorkerGlobalScope;

const CACHE = 'tradeactors-__VERSION__';
const FILES = '__FILES__'.split(' ');
const SCOPE = '/app/';

interface Push {
  title?: string;
  body?: string;
  tag?: string;
  silent?: boolean;
  strategy_id?: number | null;
}

worker.addEventListener('install', (event) => {
  event.waitUntil(fill());
});

async function fill(): Promise<void> {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES.map((file) => new Request(SCOPE + file, { cache: 'no-cache' })));
}

worker.addEventListener('activate', (event) => {
  event.waitUntil(takeOver());
});

async function takeOver(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
  await worker.clients.claim();
}

/** The page asks for it when nothing is being typed: two versions never serve one page. */
worker.addEventListener('message', (event) => {
  if (event.data === 'take-over') void worker.skipWaiting();
});

worker.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== 'GET' || url.origin !== worker.location.origin) return;
  if (!url.pathname.startsWith(SCOPE)) return;
  const name = url.pathname.slice(SCOPE.length);
  if (event.request.mode === 'navigate') event.respondWith(held('index.html', event.request));
  else if (FILES.includes(name)) event.respondWith(held(name, event.request));
});

async function held(name: string, request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  return (await cache.match(SCOPE + name)) ?? fetch(request);
}

worker.addEventListener('push', (event) => {
  event.waitUntil(show(event.data));
});

/** Every push is shown, whatever it holds: a browser that shows nothing loses the permission. */
async function show(data: PushMessageData | null): Promise<void> {
  let push: Push = {};
  try {
    push = (data?.json() ?? {}) as Push;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  await worker.registration.showNotification(push.title ?? 'TradeActors', {
    body: push.body ?? 'Something happened. Open the app to see what.',
    tag: push.tag ?? 'tradeactors',
    silent: push.silent ?? false,
    icon: `${SCOPE}icon-192.png`,
    badge: `${SCOPE}icon-192.png`,
    data: { path: push.strategy_id ? `strategy/${push.strategy_id}` : 'notices' },
  });
}

worker.addEventListener('notificationclick', (event) => {
  event.notification.close();
  const { path } = event.notification.data as { path: string };
  event.waitUntil(open(`${SCOPE}#/${path}`));
});

async function open(address: string): Promise<void> {
  const windows = await worker.clients.matchAll({ type: 'window' });
  const shown = windows.find((client) => new URL(client.url).pathname.startsWith(SCOPE));
  if (!shown) {
    await worker.clients.openWindow(address);
    return;
  }
  await shown.focus();
  shown.postMessage({ open: address.split('#/')[1] });
}
