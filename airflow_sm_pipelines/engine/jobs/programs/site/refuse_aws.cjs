// Keeps a Node program from AWS's own addresses: Node loads this file, as NODE_OPTIONS names it. Only new versions of
// Node heed HTTPS_PROXY by themselves. The AWS SDK reads AWS_ENDPOINT_URL and does not come here.
"use strict";

// As in definition/partitions; a test compares them.
const AWS_DNS_SUFFIXES = [
  ".amazonaws.com", ".api.aws",
  ".amazonaws.com.cn", ".api.amazonwebservices.com.cn",
  ".amazonaws.eu", ".api.amazonwebservices.eu",
  ".c2s.ic.gov", ".api.aws.ic.gov",
  ".sc2s.sgov.gov", ".api.aws.scloud",
  ".cloud.adc-e.uk", ".api.cloud-aws.adc-e.uk",
  ".csp.hci.ic.gov", ".api.aws.hci.ic.gov",
];
const OF_USERS = /\.[a-z]{2}(?:-[a-z]+)+-\d\.(?!amazonaws\.|api\.|vpce\.)[a-z0-9-]+\.|\.d\.codeartifact\./;

function findRefusal(host) {
  const name = String(host).toLowerCase().replace(/\.$/, "");
  if (!AWS_DNS_SUFFIXES.some((suffix) => ("." + name).endsWith(suffix)) || OF_USERS.test(name)) return null;
  const text = `${name} is AWS, and only the local endpoint at AWS_ENDPOINT_URL is reached from here`;
  return Object.assign(new Error(text), { code: "ENOTFOUND", hostname: name });
}

if (process.env.AWS_ENDPOINT_URL) {
  const dns = require("dns");
  const { lookup } = dns;
  const lookUp = dns.promises.lookup;
  dns.lookup = function (host, ...rest) {
    const refusal = findRefusal(host);
    if (refusal === null) return lookup.call(this, host, ...rest);
    process.nextTick(rest[rest.length - 1], refusal);
    return {};
  };
  dns.promises.lookup = async function (host, ...rest) {
    const refusal = findRefusal(host);
    if (refusal !== null) throw refusal;
    return lookUp.call(this, host, ...rest);
  };
}
