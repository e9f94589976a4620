// SPDX-License-Identifier: Apache-2.0
using System.Net.Sockets;

namespace Axoneme.LabWorkload;

/// <summary>The programs behind the lab's built-in images, and small clients to try a network with.</summary>
internal static class Program
{
    private const string Usage = """
        usage: axl VERB

        servers (all addresses, IPv4 and IPv6):
          echo [HTTP-PORT] [DRAIN]       HTTP on 8080 that tells who asked whom; TCP and UDP echo on port 7, "POD CLIENT" on
                                         port 9; DRAIN is how many seconds it goes on after SIGTERM
          http [PORT]                    the HTTP part alone, on 80
          dns [ZONE-FILE]                names of the cluster, UDP and TCP port 53
          idle                           nothing, for ever

        clients (exit status 0: all went well):
          get URL [SECONDS]              print the answer's body
          ping HOST [COUNT] [BYTES]      ICMP echo that must not be fragmented
          tcp HOST PORT [BYTES]          send to an echo server and compare what returns
          udp HOST PORT [BYTES]          the same with one datagram
          parallel HOST PORT CONNECTIONS all open at the same time, each compared
          bulk HOST PORT SECONDS         one connection as fast as it goes, every byte compared
          steady HOST PORT SECONDS       one old connection and ever new ones; prints what failed
          who HOST PORT [COUNT] [tcp|udp] [SOURCE-PORT]
                                         print who answered and whom it saw, each time over a new socket
          load HOST HTTP-PORT UDP-PORT SECONDS
                                         requests over new connections, over a kept one and in datagrams, each tried again
                                         where a client would; prints what was tried again and what failed
          ask NAME [A|AAAA] [udp|tcp] [SERVER]
                                         one DNS question; prints the addresses
          asking NAME[,NAME...] SECONDS PER-SECOND [PORT]
                                         DNS questions for both families by UDP and TCP, and connections to echo servers at
                                         what was learned; prints how many were answered and lost
          orphan HOST PORT SECONDS       datagrams over one connected socket, until somebody takes the socket away
        """;

    private static async Task<int> Main(string[] arguments)
    {
        try
        {
            return await RunAsync(arguments);
        }
        catch (Exception e) when (e is SocketException or IOException or HttpRequestException or TimeoutException or TaskCanceledException)
        {
            await Console.Error.WriteLineAsync($"axl: {(e.InnerException ?? e).Message}");
            return 1;
        }
        catch (Exception e) when (e is FormatException or IndexOutOfRangeException or OverflowException)
        {
            await Console.Error.WriteLineAsync(Usage);
            return 2;
        }
    }

    private static Task<int> RunAsync(string[] a) => (a.Length > 0 ? a[0] : "") switch
    {
        "echo" => Servers.EchoAsync(Number(a, 1, 8080), Number(a, 2, 0)),
        "http" => Servers.HttpAsync(Number(a, 1, 80)),
        "dns" => DnsServer.RunAsync(a.Length > 1 ? a[1] : DnsServer.DefaultZone),
        "idle" => Servers.IdleAsync(),
        "get" => Clients.GetAsync(a[1], Number(a, 2, 5)),
        "ping" => Clients.PingAsync(a[1], Number(a, 2, 1), Number(a, 3, 56)),
        "tcp" => Clients.TcpAsync(a[1], Number(a, 2), Number(a, 3, 1000)),
        "udp" => Clients.UdpAsync(a[1], Number(a, 2), Number(a, 3, 1000)),
        "parallel" => Clients.ParallelAsync(a[1], Number(a, 2), Number(a, 3)),
        "bulk" => Clients.BulkAsync(a[1], Number(a, 2), Number(a, 3)),
        "steady" => SteadyTraffic.RunAsync(a[1], Number(a, 2), Number(a, 3)),
        "who" => WhoClient.RunAsync(a[1], Number(a, 2), Number(a, 3, 1), a.Length > 4 ? a[4] : "tcp", Number(a, 5, 0)),
        "load" => Load.RunAsync(a[1], Number(a, 2), Number(a, 3), Number(a, 4)),
        "ask" => DnsClient.AskAsync(a[1], a.Length > 2 ? a[2] : "A", a.Length > 3 ? a[3] : "udp", a.Length > 4 ? a[4] : null),
        "asking" => DnsClient.KeepAskingAsync(a[1].Split(','), Number(a, 2), Number(a, 3), Number(a, 4, 0)),
        "orphan" => WhoClient.WaitForEndAsync(a[1], Number(a, 2), Number(a, 3)),
        _ => throw new FormatException("no such verb"),
    };

    private static int Number(string[] arguments, int index, int? otherwise = null)
        => index < arguments.Length ? int.Parse(arguments[index]) : otherwise ?? throw new FormatException("argument missing");
}
