// Replaces Bob by a worker in another language: `npm install`, then `RABBITMQ_URL=… npm start`.
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import amqp from "amqplib";

const MAILBOX = "agent.bob"; // declared by the agents that call Bob; this program waits for it
const AT_ONCE = 8;
// The sender, which the broker verifies. With a broker user for each process, Bob's is agent.bob.
const USER = decodeURIComponent(new URL(process.env.RABBITMQ_URL).username) || "guest";
const REPLY_QUEUE = /^(reply\.|amq\.gen-|amq\.rabbitmq\.reply-to)/;

async function mailboxIsThere(connection) {
  const channel = await connection.createChannel();
  channel.on("error", () => {}); // a missing queue closes the channel; checkQueue rejects as well
  return channel.checkQueue(MAILBOX).then(() => channel.close()).then(() => true, () => false);
}

async function answer(channel, message) {
  const { messageId, replyTo, correlationId } = message.properties;
  const task = { id: messageId ?? crypto.randomUUID(), ...JSON.parse(message.content) };
  const content = `Subject: From Node\n\nDear all,\n\n${task.content}\n\nKind regards,\nBob`;
  const id = `${task.id}.response`;
  const response = { type: "response", id, task_id: task.id, agent: "bob", status: "ok", content };
  if (REPLY_QUEUE.test(replyTo)) {
    const exchange = replyTo.startsWith("reply.") ? "hutch.replies" : "";
    const contentType = "application/json";
    const properties = { messageId: id, correlationId, contentType, userId: USER };
    const body = Buffer.from(JSON.stringify(response));
    channel.publish(exchange, replyTo, body, { ...properties, persistent: true });
    await channel.waitForConfirms();
  }
  channel.ack(message);
}

const connection = await amqp.connect(process.env.RABBITMQ_URL);
for (let tries = 120; !(await mailboxIsThere(connection)); tries--) {
  if (!tries) throw new Error(`there is no queue ${MAILBOX}: start the agent that calls Bob`);
  await sleep(500);
}
const channel = await connection.createConfirmChannel();
await channel.prefetch(AT_ONCE);
const { consumerTag } = await channel.consume(MAILBOX, (message) =>
  answer(channel, message).catch((error) => {
    console.error(`not answered, becomes a dead letter: ${error.message}`);
    channel.nack(message, false, false);
  }),
);
console.log(`consuming ${MAILBOX}`);
await Promise.race([once(process, "SIGTERM"), once(process, "SIGINT")]);
await channel.cancel(consumerTag);
await channel.waitForConfirms();
await connection.close();
