// SPDX-License-Identifier: Apache-2.0
using System.Net;
using System.Runtime.InteropServices;
using Axoneme.EmbeddedApi;

// usage: axoneme-api PORT KUBECONFIG-FILE [MANIFEST...]   Serves an empty cluster on 127.0.0.1 until it is stopped.
if (args.Length < 2 || !ushort.TryParse(args[0], out ushort port))
{
    Console.Error.WriteLine("usage: axoneme-api PORT KUBECONFIG-FILE [MANIFEST...]");
    return 2;
}
string token = Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(16));
await using var api = new EmbeddedApiHost(new EmbeddedApiOptions
{
    Listeners = [ApiListener.On(new IPEndPoint(IPAddress.Loopback, port))],
    Tokens = new Dictionary<string, ApiUser> { [token] = new("admin", "system:masters") },
    Log = Console.Error.WriteLine,
});
await api.StartAsync();
foreach (string file in args[2..])
    api.Objects.ApplyManifests(await File.ReadAllTextAsync(file));
EmbeddedApiHost.WriteKubeconfig(args[1], api.KubeconfigForToken(api.Addresses[0], token));
Console.WriteLine($"{api.Addresses[0]}  KUBECONFIG={args[1]}");
var stop = new TaskCompletionSource();
using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, c => { c.Cancel = true; stop.TrySetResult(); });
using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, c => { c.Cancel = true; stop.TrySetResult(); });
await stop.Task;
await api.StopAsync();
return 0;
