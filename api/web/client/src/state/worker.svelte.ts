/** The service worker of this page: it is registered, watched for a newer version, and asked to take over. */

import { ApiProblem } from '../api/problems';
import { call, type Api } from '../api/client';

const SCRIPT = '/app/sw.js';
const LOOK_FOR_UPDATE_MS = 60_000;

interface ScriptPolicy {
  createScriptURL(url: string): unknown;
}
interface Factory {
  createPolicy(name: string, rules: { createScriptURL: (url: string) => string }): ScriptPolicy;
}

export type PushState = 'unsupported' | 'refused' | 'off' | 'on';

export class Worker {
  /** A newer version waits until nothing is being typed. */
  updateWaits = $state(false);
  push = $state<PushState>('unsupported');
  /** This page was loaded by `renew`. */
  readonly renewed = history.state === 'renewed';
  readonly #api: Api;
  readonly #open: (path: string) => void;
  /** The page was asked to load the newest version, whichever it is now. */
  #renews = false;
  #registration: ServiceWorkerRegistration | null = null;

  constructor(api: Api, open: (path: string) => void) {
    this.#api = api;
    this.#open = open;
    if ('serviceWorker' in navigator && import.meta.env.PROD) void this.#register();
  }

  /** Loads the newer version. */
  update(): void {
    this.#registration?.waiting?.postMessage('take-over');
  }

  /** Loads the newest version that the server has: it is asked now, not at the worker's next look. */
  async renew(): Promise<void> {
    this.#renews = true;
    history.replaceState('renewed', '');
    // Without a network, or a worker, the page is loaded again all the same.
    await this.#registration?.update().catch(() => undefined);
    const next = this.#registration?.waiting ?? this.#registration?.installing;
    if (next?.state === 'installing')
      await new Promise((done) => next.addEventListener('statechange', done, { once: true }));
    if (next?.state === 'installed') next.postMessage('take-over');
    else location.reload();
  }

  /** Subscribes this browser. Throws `ApiProblem` if the server refuses. */
  async pushOn(): Promise<void> {
    if (!this.#registration) return;
    if ((await Notification.requestPermission()) !== 'granted') {
      this.push = 'refused';
      return;
    }
    const { public_key } = await call(this.#api.GET('/push/key'));
    const subscription = await this.#registration.pushManager.subscribe({
      userVisibleOnly: true,
      applicationServerKey: public_key,
    });
    await this.#tell(subscription);
    this.push = 'on';
  }

  async pushOff(): Promise<void> {
    const subscription = await this.#registration?.pushManager.getSubscription();
    if (subscription) {
      await call(this.#api.DELETE('/push/subscriptions', { body: { endpoint: subscription.endpoint } }));
      await subscription.unsubscribe();
    }
    this.push = 'off';
  }

  /** After a login: browsers lose subscriptions silently, so the server gets them again at each start. */
  async check(): Promise<void> {
    if (this.push !== 'on') return;
    const subscription = await this.#registration?.pushManager.getSubscription();
    try {
      if (subscription) await this.#tell(subscription);
      else this.push = 'off';
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
    }
  }

  async #register(): Promise<void> {
    const { trustedTypes } = window as unknown as { trustedTypes?: Factory };
    const policy = trustedTypes?.createPolicy('app-worker', {
      createScriptURL: (url) => {
        if (url !== SCRIPT) throw new TypeError('Only the worker of the app may be registered');
        return url;
      },
    });
    const script = policy ? policy.createScriptURL(SCRIPT) : SCRIPT;
    this.#registration = await navigator.serviceWorker.register(script as string, { scope: '/app/' });
    await this.#watch(this.#registration);
    await this.#lookAtPush(this.#registration);
  }

  async #watch(registration: ServiceWorkerRegistration): Promise<void> {
    const waits = () =>
      (this.updateWaits = registration.waiting !== null && navigator.serviceWorker.controller !== null);
    registration.addEventListener('updatefound', () =>
      registration.installing?.addEventListener('statechange', waits),
    );
    waits();
    const hadOne = navigator.serviceWorker.controller !== null;
    navigator.serviceWorker.addEventListener('controllerchange', () => {
      if (hadOne || this.#renews) location.reload();
    });
    navigator.serviceWorker.addEventListener('message', (event: MessageEvent<{ open?: string }>) => {
      if (event.data.open) this.#open(event.data.open);
    });
    setInterval(() => {
      // Without a network there is nothing to find; the next look comes by itself.
      if (navigator.onLine) registration.update().catch(() => undefined);
    }, LOOK_FOR_UPDATE_MS);
  }

  async #lookAtPush(registration: ServiceWorkerRegistration): Promise<void> {
    if (!('pushManager' in registration) || !('Notification' in window)) return;
    if (Notification.permission === 'denied') this.push = 'refused';
    else this.push = (await registration.pushManager.getSubscription()) ? 'on' : 'off';
  }

  async #tell(subscription: PushSubscription): Promise<void> {
    const { endpoint = '', keys } = subscription.toJSON();
    const body = { endpoint, keys: { auth: keys?.['auth'] ?? '', p256dh: keys?.['p256dh'] ?? '' } };
    await call(this.#api.POST('/push/subscriptions', { body }));
  }
}
