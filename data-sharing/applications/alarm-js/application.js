// Bedside alarm clock in JavaScript: the same action as ../alarm.
export function handle(action, input) {
  if (action !== "ring") throw new Error(`the alarm can ring, not ${action}`);
  const { tone = "gentle", volume = 40 } = input;
  const level = Math.max(0, Math.min(100, volume));
  return { performed: "ring", tone, volume: level, said: `Ringing, ${tone}, at ${level} %` };
}
