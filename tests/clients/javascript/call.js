// Calls operations of HealthOmics with the SDK for JavaScript, and prints their answers as JSON, one a line.
// Standard input: a list of [operation, input]. An operation that begins with "paginate" or "waitUntil" is a helper of the SDK.
import * as omics from "@aws-sdk/client-omics";
import { readFileSync } from "node:fs";

// The SDK does not read AWS_DISABLE_HOST_PREFIX_INJECTION, and would call workflows-127.0.0.1.
const client = new omics.OmicsClient({ disableHostPrefix: true, maxAttempts: 1 });

async function answer(operation, input) {
  if (operation.startsWith("paginate")) {
    const items = [];
    for await (const page of omics[operation]({ client, pageSize: 2 }, input)) items.push(...(page.items ?? page.runs));
    return items;
  }
  if (operation.startsWith("waitUntil")) {
    return (await omics[operation]({ client, maxWaitTime: 30, minDelay: 1, maxDelay: 1 }, input)).state;
  }
  if (input.definitionZip) input.definitionZip = Buffer.from(input.definitionZip, "base64");
  const { $metadata, ...answer } = await client.send(new omics[`${operation}Command`](input));
  return answer;
}

for (const [operation, input] of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    console.log(JSON.stringify(await answer(operation, input)));
  } catch (error) {
    console.log(JSON.stringify({ error: error.name, message: error.message, http: error.$metadata?.httpStatusCode }));
  }
}
