// SPDX-License-Identifier: Apache-2.0
using Axoneme.Bpf;
using Axoneme.Linux;

namespace Axoneme.Datapath;

/// <summary>What became of a pinned link.</summary>
internal enum LinkOutcome
{
    /// <summary>There was none.</summary>
    Created,

    /// <summary>The link was there, and its program was replaced.</summary>
    Adopted,

    /// <summary>What was pinned led to another or a vanished target.</summary>
    Replaced,
}

/// <summary>Attachments that outlive the process, by the path of their pin.</summary>
internal static class PinnedLinks
{
    // The link's device or cgroup is gone.
    private const int ENOLINK = 67;

    /// <summary>Makes a tc program run on a device of the calling thread's namespace.</summary>
    public static LinkOutcome EnsureTcx(string pin, BpfProgram program, int device, TcDirection direction)
        => Ensure(pin, program, info => info.InterfaceIndex == device, () => BpfLink.AttachTcx(program, device, direction));

    public static LinkOutcome EnsureCgroup(string pin, BpfProgram program, string cgroup, BpfAttachType type)
        => Ensure(pin, program, _ => true, () => BpfLink.AttachCgroup(program, cgroup, type));

    /// <summary>Makes an XDP program run on a device of the calling thread's namespace, which takes one.</summary>
    public static LinkOutcome EnsureXdp(string pin, BpfProgram program, int device, XdpMode mode)
        => Ensure(pin, program, info => info.InterfaceIndex == device, () => BpfLink.AttachXdp(program, device, mode));

    /// <summary>Ends the attachment behind the pin, if there is one.</summary>
    public static void Remove(string pin)
    {
        using BpfLink? link = BpfLink.TryOpenPinned(pin);
        if (link is null)
            return;
        // At once: the kernel does it some time after the last reference has gone, and meanwhile refuses another one.
        link.Detach();
        File.Delete(pin);
    }

    /// <summary>Whether the pin holds a link to this device.</summary>
    public static bool IsAttached(string pin, int device)
    {
        using BpfLink? link = BpfLink.TryOpenPinned(pin);
        return link is not null && link.GetInfo().InterfaceIndex == device;
    }

    private static LinkOutcome Ensure(string pin, BpfProgram program, Func<BpfLinkInfo, bool> isExpected, Func<BpfLink> attach)
    {
        using BpfLink? existing = BpfLink.TryOpenPinned(pin);
        if (existing is not null && isExpected(existing.GetInfo()) && TryUpdate(existing, program))
            return LinkOutcome.Adopted;
        File.Delete(pin);
        using BpfLink created = attach();
        created.Pin(pin);
        return existing is null ? LinkOutcome.Created : LinkOutcome.Replaced;
    }

    private static bool TryUpdate(BpfLink link, BpfProgram program)
    {
        try
        {
            link.Update(program);
            return true;
        }
        catch (SystemCallException e) when (e.Errno == ENOLINK)
        {
            return false;
        }
    }
}
