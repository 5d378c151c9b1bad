// Calls the API with the official Node SDK; see spec/cce/sdk_spec.lua. Settings come from the
// environment, a line of JSON a call goes to standard output: { call, through, status, error, data }.
// A call that this version of the SDK does not have yet goes through the SDK's core, which signs
// and sends all calls.
const { BasicCredentials } = require("@huaweicloud/huaweicloud-sdk-core/auth/BasicCredentials");
const { CceClient } = require("@huaweicloud/huaweicloud-sdk-cce/v3/CceClient");

const env = process.env;
const cluster = env.CLUSTER_ID;
const path = "/api/v3/projects/{project_id}/clusters/{cluster_id}/";
const autopilot = "/autopilot/v3/projects/{project_id}/clusters";

function client(sk) {
  const credentials = new BasicCredentials()
    .withAk(env.HUAWEICLOUD_SDK_AK)
    .withSk(sk)
    .withProjectId(env.HUAWEICLOUD_SDK_PROJECT_ID);
  return CceClient.newBuilder()
    .withCredential(credentials)
    .withEndpoint(env.CCE_ENDPOINT)
    .build();
}

function by_core(sdk, last, body) {
  return sdk.hcClient.sendRequest({
    method: "POST", url: path + last, contentType: "application/json", queryParams: {},
    pathParams: { cluster_id: cluster }, headers: { "Content-Type": "application/json" }, data: body,
  });
}

// The SDK's own method when it has one.
function post(sdk, method, last, body) {
  if (typeof sdk[method] !== "function") return ["core", by_core(sdk, last, body)];
  return ["client", sdk[method]({ cluster_id: cluster, body })];
}

// As the SDKs of other languages list Autopilot's clusters and obtain their certificates.
function by_core_at_autopilot(sdk, method, last, data) {
  return ["core", sdk.hcClient.sendRequest({
    method, url: autopilot + last, contentType: "application/json", queryParams: {},
    pathParams: { cluster_id: env.AUTOPILOT_ID },
    headers: { "Content-Type": "application/json" }, data,
  })];
}

async function report(call, [through, answer]) {
  const line = { call, through };
  try {
    const data = await answer;
    Object.assign(line, { status: data.httpStatusCode, data });
  } catch (error) {
    Object.assign(line, { status: error.httpStatusCode, error: error.errorCode || String(error) });
  }
  console.log(JSON.stringify(line));
}

async function main() {
  const sdk = client(env.HUAWEICLOUD_SDK_SK);
  await report("list_clusters", ["client", sdk.listClusters({})]);
  await report("obtain_cert",
    post(sdk, "createKubernetesClusterCert", "clustercert", { duration: 7 }));
  await report("revoke_cert",
    post(sdk, "revokeKubernetesClusterCert", "clustercertrevoke", { userId: env.USER_ID }));
  await report("rotate_credentials",
    post(sdk, "rotateClusterCredentials", "rotatecredentials", { component: "all" }));
  await report("list_autopilot_clusters", by_core_at_autopilot(sdk, "GET", "", {}));
  await report("obtain_autopilot_cert",
    by_core_at_autopilot(sdk, "POST", "/{cluster_id}/clustercert", { duration: 7 }));
  await report("wrong key", ["client", client("wrong-example-key").listClusters({})]);
}

main();
