// SPDX-License-Identifier: Apache-2.0
using System.Runtime.InteropServices;
using System.Text;
using Axoneme.Bpf.Kernel;
using Axoneme.Linux;
using Microsoft.Win32.SafeHandles;

namespace Axoneme.Bpf;

/// <summary>
/// The kernel or libbpf refused an object. <see cref="Log"/> is what both said: for a program, the verifier's log.
/// </summary>
public sealed class BpfLoadException : SystemCallException
{
    public BpfLoadException(string operation, int errno, string log)
        : base(operation, errno, Tail(log)) => Log = log;

    public string Log { get; }

    // The verifier's reason is in the last lines; the whole log may have megabytes.
    private static string Tail(string log)
    {
        const int MaxLength = 2000;
        return log.Length <= MaxLength ? log : "[...] " + log[^MaxLength..];
    }
}

/// <summary>
/// One load of an image: settings before <see cref="Load"/>, programs and maps after it. Disposing closes all of its
/// descriptors; what is attached or pinned stays. Not for concurrent use; different objects of one image load in
/// parallel.
/// </summary>
public sealed unsafe class BpfObject : IDisposable
{
    private readonly BpfObjectImage _image;
    private readonly ObjectHandle _handle;
    private readonly Dictionary<string, nint> _maps = [];
    private readonly Dictionary<string, nint> _programs = [];
    private readonly Dictionary<string, BpfMapSpec> _declared;
    private readonly Dictionary<string, BpfMap> _openMaps = [];
    private readonly Dictionary<string, BpfProgram> _openPrograms = [];

    internal BpfObject(BpfObjectImage image)
    {
        _image = image;
        _declared = new Dictionary<string, BpfMapSpec>(image.Maps);
        _handle = OpenHandle(image);
        nint handle = _handle.DangerousGetHandle();
        for (nint map = Libbpf.NextMap(handle, 0); map != 0; map = Libbpf.NextMap(handle, map))
        {
            string name = Name(Libbpf.MapName(map));
            _maps[name] = map;
            // Pins are this class's business: libbpf's check of a pinned map does not say what differs.
            if (_declared.TryGetValue(name, out BpfMapSpec? spec) && spec.PinByName)
                Libbpf.MapSetPinPath(map, null);
        }

        for (nint program = Libbpf.NextProgram(handle, 0); program != 0; program = Libbpf.NextProgram(handle, program))
            _programs[Name(Libbpf.ProgramName(program))] = program;
    }

    /// <summary>Whether <see cref="Load"/> has succeeded.</summary>
    public bool IsLoaded { get; private set; }

    /// <summary>Sets all load-time constants.</summary>
    public void SetConstants<T>(in T constants)
        where T : unmanaged, IBpfConstants
    {
        _image.RequireLayout<T>();
        Span<byte> target = ConstantBytes();
        MemoryMarshal.Write(target, in constants);
    }

    /// <summary>Sets one load-time constant by its name.</summary>
    public void SetConstant<T>(string name, in T value)
        where T : unmanaged
    {
        BpfConstant constant = _image.Constants.FirstOrDefault(candidate => candidate.Name == name)
            ?? throw new ArgumentException($"object {_image.Name} has no constant {name}");
        if (constant.Size != sizeof(T))
            throw new ArgumentException(
                $"constant {name} of object {_image.Name} has {constant.Size} bytes, got {sizeof(T)}");
        MemoryMarshal.Write(ConstantBytes()[constant.Offset..], in value);
    }

    /// <summary>Sizes a map that this load creates.</summary>
    public void SetMaxEntries(string map, uint count)
    {
        RequireNotLoaded();
        Require(Libbpf.MapSetMaxEntries(FindMap(map), count), $"size map {map}");
        _declared[map] = Declared(map) with { MaxEntries = count };
    }

    /// <summary>Declares a map with other flags than the source has.</summary>
    public void SetMapFlags(string map, BpfMapFlags flags)
    {
        RequireNotLoaded();
        Require(Libbpf.MapSetFlags(FindMap(map), (uint)flags), $"set the flags of map {map}");
        _declared[map] = Declared(map) with { Flags = flags };
    }

    /// <summary>Makes the programs use an existing map. The object takes a descriptor of its own.</summary>
    /// <exception cref="BpfMapMismatchException">An attribute differs.</exception>
    public void Reuse(string name, BpfMap map)
    {
        ArgumentNullException.ThrowIfNull(map);
        RequireNotLoaded();
        nint target = FindMap(name);
        IReadOnlyList<string> differences = Declared(name).DifferencesFrom(map.Spec);
        if (differences.Count > 0)
            throw new BpfMapMismatchException(map.ToString(), Declared(name), differences);
        using var use = map.Handle.Use();
        Require(Libbpf.MapReuse(target, use.Descriptor), $"reuse map {name}");
    }

    /// <summary>
    /// For each map that the source declares as pinned by name: uses the one pinned in <paramref name="directory"/>, or
    /// creates and pins it. Loads that race get the same maps.
    /// </summary>
    /// <exception cref="BpfMapMismatchException">A pinned map differs from its declaration.</exception>
    public void ReusePinned(string directory)
    {
        RequireNotLoaded();
        foreach (BpfMapSpec spec in _declared.Values.Where(spec => spec.PinByName))
        {
            using BpfMap map = BpfMap.OpenOrCreatePinned(spec, Path.Combine(directory, spec.Name));
            using var use = map.Handle.Use();
            Require(Libbpf.MapReuse(FindMap(spec.Name), use.Descriptor), $"reuse map {spec.Name}");
        }
    }

    /// <summary>Tells what a map of maps will hold, where the source does not.</summary>
    public void SetInnerTemplate(string map, BpfMap template)
    {
        ArgumentNullException.ThrowIfNull(template);
        RequireNotLoaded();
        using var use = template.Handle.Use();
        Require(Libbpf.MapSetInnerFd(FindMap(map), use.Descriptor), $"set the inner map of {map}");
        _declared[map] = Declared(map) with { Inner = template.Spec };
    }

    /// <summary>Loads only these programs; all are loaded when this is never called.</summary>
    public void SelectPrograms(params ReadOnlySpan<string> names)
    {
        RequireNotLoaded();
        foreach (string name in names)
            FindProgram(name);
        foreach ((string name, nint program) in _programs)
            Require(Libbpf.ProgramSetAutoload(program, names.Contains(name)), $"select program {name}");
    }

    /// <summary>Creates the maps and loads the programs.</summary>
    /// <exception cref="BpfLoadException">The kernel refused; its log is in the exception. The object must be
    /// disposed.</exception>
    public void Load()
    {
        RequireNotLoaded();
        using var messages = Libbpf.CollectMessages();
        int result = Libbpf.ObjectLoad(_handle.DangerousGetHandle());
        if (result < 0)
            throw new BpfLoadException($"load object {_image.Name}", -result, messages.ToString());
        IsLoaded = true;
    }

    /// <summary>A loaded program; valid until this object is disposed.</summary>
    public BpfProgram Program(string name)
    {
        if (_openPrograms.TryGetValue(name, out BpfProgram? open))
            return open;
        RequireLoaded();
        BpfHandle handle = BpfHandle.Duplicate(Libbpf.ProgramFd(FindProgram(name)), $"program {name}");
        return _openPrograms[name] = new BpfProgram(handle, name);
    }

    /// <summary>A map of the loaded object; valid until this object is disposed.</summary>
    public BpfMap Map(string name)
    {
        if (_openMaps.TryGetValue(name, out BpfMap? open))
            return open;
        RequireLoaded();
        return _openMaps[name] = BpfMap.Open(BpfHandle.Duplicate(Libbpf.MapFd(FindMap(name)), $"map {name}"), name);
    }

    public void Dispose()
    {
        foreach (BpfProgram program in _openPrograms.Values)
            program.Dispose();
        foreach (BpfMap map in _openMaps.Values)
            map.Dispose();
        _handle.Dispose();
    }

    private static ObjectHandle OpenHandle(BpfObjectImage image)
    {
        using var messages = Libbpf.CollectMessages();
        fixed (byte* bytes = image.Bytes)
        fixed (byte* name = Encoding.UTF8.GetBytes(image.Name + '\0'))
        {
            var options = new Libbpf.OpenOptions { Size = (nuint)sizeof(Libbpf.OpenOptions), ObjectName = name };
            nint handle = Libbpf.ObjectOpenMemory(bytes, (nuint)image.Bytes.Length, ref options);
            int errno = Marshal.GetLastPInvokeError();
            return handle != 0
                ? new ObjectHandle(handle)
                : throw new BpfLoadException($"open object {image.Name}", errno, messages.ToString());
        }
    }

    private static string Name(byte* text) => Marshal.PtrToStringUTF8((nint)text) ?? "";

    private Span<byte> ConstantBytes()
    {
        RequireNotLoaded();
        byte* value = Libbpf.MapInitialValue(FindMap(BpfObjectImage.ConstantsSection), out nuint length);
        return new Span<byte>(value, (int)length);
    }

    private BpfMapSpec Declared(string map)
        => _declared.TryGetValue(map, out BpfMapSpec? spec)
            ? spec
            : throw new ArgumentException($"object {_image.Name} declares no map {map}");

    private nint FindMap(string name)
        => _maps.TryGetValue(name, out nint map)
            ? map
            : throw new ArgumentException($"object {_image.Name} has no map {name}");

    private nint FindProgram(string name)
        => _programs.TryGetValue(name, out nint program)
            ? program
            : throw new ArgumentException($"object {_image.Name} has no program {name}");

    private void Require(int result, string operation)
    {
        if (result < 0)
            throw new SystemCallException($"{operation} of object {_image.Name}", -result);
    }

    private void RequireNotLoaded()
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        if (IsLoaded)
            throw new InvalidOperationException($"object {_image.Name} is loaded already");
    }

    private void RequireLoaded()
    {
        ObjectDisposedException.ThrowIf(_handle.IsClosed, this);
        if (!IsLoaded)
            throw new InvalidOperationException($"object {_image.Name} is not loaded");
    }

    private sealed class ObjectHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        public ObjectHandle(nint handle)
            : base(ownsHandle: true) => SetHandle(handle);

        protected override bool ReleaseHandle()
        {
            Libbpf.ObjectClose(handle);
            return true;
        }
    }
}
