// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;

namespace Axoneme.Bench;

/// <summary>
/// What has to be removed from the machine however the program ends. Owners dispose in the normal course; a signal disposes of what is left,
/// newest first, and ends the program.
/// </summary>
internal static class Leftovers
{
    private static readonly Lock Gate = new();
    private static readonly List<IDisposable> Present = [];
    private static readonly List<PosixSignalRegistration> Signals = [];

    /// <summary>Makes <paramref name="owner"/> be disposed of on a signal; to be called before it creates anything.</summary>
    public static void Add(IDisposable owner)
    {
        lock (Gate)
            Present.Add(owner);
    }

    /// <summary>Runs <paramref name="removal"/>, once; two threads that remove wait for each other.</summary>
    public static void Remove(IDisposable owner, Action removal)
    {
        lock (Gate)
        {
            if (Present.Remove(owner))
                removal();
        }
    }

    public static void RemoveOnSignals()
    {
        foreach (PosixSignal signal in new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP })
        {
            Signals.Add(PosixSignalRegistration.Create(signal, context =>
            {
                context.Cancel = true;
                Console.Error.WriteLine("bench: removing what was created");
                lock (Gate)
                {
                    // The main thread fails when what it measures goes away; it must not end the program before this is done.
                    while (Present.Count > 0)
                        Present[^1].Dispose();
                    Environment.Exit(130);
                }
            }));
        }
    }
}
