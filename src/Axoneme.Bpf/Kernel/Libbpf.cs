// SPDX-License-Identifier: Apache-2.0
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;

namespace Axoneme.Bpf.Kernel;

/// <summary>
/// The functions of libbpf (1.1 and later) that open, relocate and load objects. They return negative error numbers.
/// What libbpf prints, the verifier's log among it, is dropped unless the calling thread collects it: see <see
/// cref="CollectMessages"/>.
/// </summary>
internal static unsafe partial class Libbpf
{
    private const string Library = "libbpf.so.1";

    [ThreadStatic]
    private static StringBuilder? _messages;

    static Libbpf() => SetPrint(&Collect);

    /// <summary>Collects what libbpf prints on this thread until the result is disposed.</summary>
    public static MessageScope CollectMessages()
    {
        _messages = new StringBuilder();
        return new MessageScope(_messages);
    }

    [LibraryImport(Library, EntryPoint = "bpf_object__open_mem", SetLastError = true)]
    public static partial nint ObjectOpenMemory(byte* bytes, nuint length, ref OpenOptions options);

    [LibraryImport(Library, EntryPoint = "bpf_object__load")]
    public static partial int ObjectLoad(nint handle);

    [LibraryImport(Library, EntryPoint = "bpf_object__close")]
    public static partial void ObjectClose(nint handle);

    [LibraryImport(Library, EntryPoint = "bpf_object__next_map")]
    public static partial nint NextMap(nint handle, nint previous);

    [LibraryImport(Library, EntryPoint = "bpf_object__next_program")]
    public static partial nint NextProgram(nint handle, nint previous);

    [LibraryImport(Library, EntryPoint = "bpf_map__name")]
    public static partial byte* MapName(nint map);

    [LibraryImport(Library, EntryPoint = "bpf_map__fd")]
    public static partial int MapFd(nint map);

    [LibraryImport(Library, EntryPoint = "bpf_map__reuse_fd")]
    public static partial int MapReuse(nint map, int fd);

    [LibraryImport(Library, EntryPoint = "bpf_map__set_max_entries")]
    public static partial int MapSetMaxEntries(nint map, uint count);

    [LibraryImport(Library, EntryPoint = "bpf_map__set_map_flags")]
    public static partial int MapSetFlags(nint map, uint flags);

    [LibraryImport(Library, EntryPoint = "bpf_map__set_inner_map_fd")]
    public static partial int MapSetInnerFd(nint map, int fd);

    [LibraryImport(Library, EntryPoint = "bpf_map__set_pin_path", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int MapSetPinPath(nint map, string? path);

    [LibraryImport(Library, EntryPoint = "bpf_map__initial_value")]
    public static partial byte* MapInitialValue(nint map, out nuint length);

    [LibraryImport(Library, EntryPoint = "bpf_program__name")]
    public static partial byte* ProgramName(nint program);

    [LibraryImport(Library, EntryPoint = "bpf_program__fd")]
    public static partial int ProgramFd(nint program);

    [LibraryImport(Library, EntryPoint = "bpf_program__set_autoload")]
    public static partial int ProgramSetAutoload(nint program, [MarshalAs(UnmanagedType.U1)] bool load);

    [LibraryImport(Library, EntryPoint = "bpf_tc_hook_create")]
    public static partial int TcHookCreate(ref TcFilter.TcHook hook);

    [LibraryImport(Library, EntryPoint = "bpf_tc_attach")]
    public static partial int TcAttach(ref TcFilter.TcHook hook, ref TcFilter.TcOptions options);

    [LibraryImport(Library, EntryPoint = "bpf_tc_detach")]
    public static partial int TcDetach(ref TcFilter.TcHook hook, ref TcFilter.TcOptions options);

    [LibraryImport(Library, EntryPoint = "bpf_tc_query")]
    public static partial int TcQuery(ref TcFilter.TcHook hook, ref TcFilter.TcOptions options);

    [LibraryImport(Library, EntryPoint = "libbpf_set_print")]
    private static partial nint SetPrint(delegate* unmanaged<int, byte*, nint, int> print);

    // A va_list is an array on x86-64 and a large struct on arm64: both are passed as a pointer, which vsnprintf takes
    // as it came.
    [LibraryImport("libc", EntryPoint = "vsnprintf")]
    private static partial int FormatVariadic(byte* buffer, nuint size, byte* format, nint arguments);

    [UnmanagedCallersOnly]
    private static int Collect(int level, byte* format, nint arguments)
    {
        const int Debug = 2;
        if (_messages is not { } messages || level >= Debug)
            return 0;
        // The arguments can be walked only once, so the buffer takes the longest message at once: the tail of a
        // verifier log says why.
        const int Size = 32 << 20;
        byte* buffer = (byte*)NativeMemory.Alloc(Size);
        int length = Math.Min(FormatVariadic(buffer, Size, format, arguments), Size - 1);
        if (length > 0)
            messages.Append(Encoding.UTF8.GetString(buffer, length));
        NativeMemory.Free(buffer);
        return 0;
    }

    internal readonly ref struct MessageScope(StringBuilder messages)
    {
        private readonly StringBuilder _collected = messages;

        public override string ToString() => _collected.ToString().TrimEnd();

        public void Dispose()
        {
            if (ReferenceEquals(_messages, _collected))
                _messages = null;
        }
    }

    /// <summary><c>struct bpf_object_open_opts</c> up to the fields that 1.1 knows.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct OpenOptions
    {
        public nuint Size;
        public byte* ObjectName;
        public byte RelaxedMaps;
        public byte* PinRootPath;
        private readonly uint _unused;
        public byte* KernelConfig;
        public byte* BtfCustomPath;
        public byte* LogBuffer;
        public nuint LogSize;
        public uint LogLevel;
        private readonly uint _padding;
    }
}
