// Publishes with the official client, as told by one JSON object on standard input:
// {endpoint, schema: "EventGrid" | "CloudEvent" | "Custom", key | sas: {key, minutes}, events, insecure}.
// Prints {"sent": number} or {"error": {name, status, code, message}}.
import { text } from "node:stream/consumers";
import { AzureKeyCredential, EventGridPublisherClient, generateSharedAccessSignature } from "@azure/eventgrid";

const order = JSON.parse(await text(process.stdin));
try {
  const client = new EventGridPublisherClient(order.endpoint, order.schema, await credential(order), {
    allowInsecureConnection: order.insecure ?? true,
    retryOptions: { maxRetries: 0 },
  });
  await client.send(order.events.map((event) => (event.time ? { ...event, time: new Date(event.time) } : event)));
  console.log(JSON.stringify({ sent: order.events.length }));
} catch (error) {
  const { name, statusCode: status, code, message } = error;
  console.log(JSON.stringify({ error: { name, status, code, message } }));
}

async function credential({ endpoint, key, sas }) {
  if (!sas) {
    return new AzureKeyCredential(key);
  }
  const expires = new Date(Date.now() + sas.minutes * 60_000);
  return { signature: await generateSharedAccessSignature(endpoint, new AzureKeyCredential(sas.key), expires) };
}
