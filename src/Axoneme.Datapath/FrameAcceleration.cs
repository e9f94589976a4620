// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Datapath.Abi;
using Axoneme.Linux;
using Axoneme.Netlink;

namespace Axoneme.Datapath;

/// <summary>Where services are balanced before the stack sees a frame (bpf-lb-acceleration).</summary>
public enum AccelerationMode
{
    /// <summary>disabled.</summary>
    None,

    /// <summary>native: by the driver of every uplink; one that cannot is an error.</summary>
    Native,

    /// <summary>best-effort: by the drivers that can.</summary>
    BestEffort,

    /// <summary>testing-only: behind the driver, which works on every device and gains nothing.</summary>
    Generic,
}

/// <summary>The XDP program on the uplinks. The mode is in the name of a link's pin, because the kernel does not tell it.</summary>
internal sealed class FrameAcceleration(DatapathPaths paths, AccelerationMode mode)
{
    /// <summary>Attaches the program to the uplinks in the calling thread's namespace, and detaches what another mode had left.</summary>
    /// <returns>The names of the devices that have it now.</returns>
    /// <exception cref="InvalidOperationException">A device has no native XDP, and the mode demands it.</exception>
    public IReadOnlyList<string> Ensure(DatapathReport report, BpfProgram program, IReadOnlyList<Link> uplinks)
    {
        var accelerated = new List<string>();
        foreach (Link uplink in uplinks)
        {
            string folder = paths.DeviceLinks(uplink.Name);
            Directory.CreateDirectory(folder);
            XdpMode wanted = mode == AccelerationMode.Generic ? XdpMode.Generic : XdpMode.Native;
            PinnedLinks.Remove(Pin(folder, wanted == XdpMode.Generic ? XdpMode.Native : XdpMode.Generic));
            if (TryAttach(report, program, uplink, wanted, Pin(folder, wanted)))
                accelerated.Add(uplink.Name);
        }

        return accelerated;
    }

    /// <summary>Detaches the program from the uplinks.</summary>
    public void Remove(IReadOnlyList<Link> uplinks)
    {
        foreach (string folder in uplinks.Select(uplink => paths.DeviceLinks(uplink.Name)))
        {
            PinnedLinks.Remove(Pin(folder, XdpMode.Native));
            PinnedLinks.Remove(Pin(folder, XdpMode.Generic));
        }
    }

    private bool TryAttach(DatapathReport report, BpfProgram program, Link uplink, XdpMode wanted, string pin)
    {
        try
        {
            NodeDatapath.Note(report, $"{program.Name} on {uplink.Name}", PinnedLinks.EnsureXdp(pin, program, uplink.Index, wanted));
            return true;
        }
        // The driver has no XDP, not for this MTU or number of queues, or the device has a program of somebody else.
        catch (SystemCallException refused) when (mode == AccelerationMode.BestEffort)
        {
            report.AddRefused($"{program.Name} on {uplink.Name}: {refused.Message}");
            return false;
        }
        catch (SystemCallException refused)
        {
            throw new InvalidOperationException(
                $"bpf-lb-acceleration: device {uplink.Name} takes no XDP program in {wanted.ToString().ToLowerInvariant()} mode: {refused.Message}", refused);
        }
    }

    private static string Pin(string folder, XdpMode mode) => Path.Combine(folder, $"{XdpObject.FromWire}_{mode.ToString().ToLowerInvariant()}");
}
