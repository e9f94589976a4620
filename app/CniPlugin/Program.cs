// SPDX-License-Identifier: Apache-2.0
using Axoneme.Cni;
using Axoneme.CniPlugin;

// The plugin decides nothing: it passes the runtime's request and the open network namespace to the agent and prints the
// answer. What it must do alone is to say something sensible while the agent is away.
string command = Environment.GetEnvironmentVariable("CNI_COMMAND") ?? "";
string config = StandardStreams.ReadInput();
if (command == "VERSION")
    return StandardStreams.Finish(0, CniVersions.Answer(config));

var request = new CniRequest(
    command,
    Environment.GetEnvironmentVariable("CNI_CONTAINERID") ?? "",
    Environment.GetEnvironmentVariable("CNI_NETNS") ?? "",
    Environment.GetEnvironmentVariable("CNI_IFNAME") ?? "",
    Environment.GetEnvironmentVariable("CNI_ARGS") ?? "",
    Environment.GetEnvironmentVariable("CNI_PATH") ?? "",
    config);
return AgentCall.Run(request);
