/** Rupees and quantities as traders in India read them: lakh and crore groups, two decimals, sign and word. */

const RUPEES = new Intl.NumberFormat('en-IN', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const WHOLE = new Intl.NumberFormat('en-IN', { maximumFractionDigits: 0 });
const MINUS = '\u2212';
const NOTHING = '\u2013';

/** `1,50,000.50`; a dash where there is no number. */
export function plain(rupees: number | null | undefined): string {
  if (rupees == null || !Number.isFinite(rupees)) return NOTHING;
  const text = RUPEES.format(Math.abs(rupees));
  return rupees < 0 && text !== '0.00' ? MINUS + text : text;
}

/** `₹1,50,000.50`. */
export function rupees(amount: number | null | undefined): string {
  const text = plain(amount);
  if (text === NOTHING) return text;
  return text.startsWith(MINUS) ? `${MINUS}₹${text.slice(1)}` : `₹${text}`;
}

/** With a sign always: `+₹150.00`, `−₹18.00`, `₹0.00`. */
export function signed(amount: number | null | undefined): string {
  const text = rupees(amount);
  return amount != null && amount > 0 && text !== '₹0.00' ? `+${text}` : text;
}

export type Outcome = 'profit' | 'loss' | 'even' | 'unknown';

/** The word beside a signed amount: some users see no colours, or hear the screen. */
export function outcome(amount: number | null | undefined): Outcome {
  if (amount == null || !Number.isFinite(amount)) return 'unknown';
  if (Math.abs(amount) < 0.005) return 'even';
  return amount > 0 ? 'profit' : 'loss';
}

/** `1,00,000`. */
export function count(quantity: number | null | undefined): string {
  return quantity == null ? NOTHING : WHOLE.format(quantity);
}

/** `−0.54 %`: how far `value` is from `from`. */
export function percentFrom(value: number | null | undefined, from: number | null | undefined): string {
  if (value == null || from == null || from === 0) return NOTHING;
  const percent = ((value - from) / from) * 100;
  const text = Math.abs(percent).toFixed(2);
  if (text === '0.00') return '0.00 %';
  return `${percent < 0 ? MINUS : '+'}${text} %`;
}

/** What a person typed: `1,500.5`, `₹ 1500`, `1500`. Null if it is no number. */
export function parseRupees(text: string): number | null {
  const bare = text.replace(/[₹,\s]/g, '');
  if (!/^\d+(\.\d+)?$/.test(bare)) return null;
  return Number(bare);
}

/** To the nearest step of the price, in paise, so that 0.05 does not become 0.05000000000000001. */
export function snap(amount: number, tick: number): number {
  const paise = Math.round(tick * 100);
  if (paise <= 0) return amount;
  return (Math.round(Math.round(amount * 100) / paise) * paise) / 100;
}

/** Profit or loss of what is held, at a price; null where any part of it is not known. */
export function unrealised(
  price: number | null | undefined,
  buyPrice: number | null | undefined,
  quantity: number,
): number | null {
  if (price == null || buyPrice == null) return null;
  return Math.round((price - buyPrice) * quantity * 100) / 100;
}
