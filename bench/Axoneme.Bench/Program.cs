// SPDX-License-Identifier: Apache-2.0
using System.Globalization;
using System.Net;
using Axoneme.Bench;
using Axoneme.Bench.Sites;
using Axoneme.Bench.Workers;

if (args is ["worker", "server"])
    return TrafficServer.Run();
if (args is ["worker", "client", string pattern, string address, string seconds])
    return RunClient(pattern, address, seconds);
if (args is ["worker", "service-agent", string api, string folder, string count])
    return await ServiceAgent.RunAsync(new Uri(api), folder, int.Parse(count, CultureInfo.InvariantCulture));
if (args is ["worker", "policy-agent", string maps])
    return await PolicyAgent.RunAsync(maps);

try
{
    return BenchCommand.Run(args);
}
catch (Exception e)
{
    // Everything is caught: an exception that nobody catches would end the program before it has cleaned up.
    Console.Error.WriteLine($"bench: {(e is BenchException ? e.Message : e)}");
    return 1;
}

static int RunClient(string pattern, string address, string seconds)
{
    TrafficResult result = TrafficClient.Run(
        pattern, IPEndPoint.Parse(address), TimeSpan.FromSeconds(double.Parse(seconds, CultureInfo.InvariantCulture)));
    Console.WriteLine(result);
    return 0;
}
