// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Dns;

/// <summary>
/// Names in messages (RFC 1035, 3.1 and 4.1.4). As text they are in lower case and without the final dot; bytes other than letters, digits, '-' and
/// '_' are written <c>\DDD</c>, so that a dot within a label is no end of a label. The root is "".
/// </summary>
public static class DnsName
{
    /// <summary>On the wire, with the lengths of labels and the root.</summary>
    public const int MaximalBytes = 255;

    /// <summary>As text: every byte of four labels escaped.</summary>
    public const int MaximalTextBytes = 4 * MaximalBytes;

    private const int MaximalLabelBytes = 63;
    private const byte PointerBits = 0xC0;

    /// <summary>Reads a name as text.</summary>
    /// <param name="message">The whole message, for pointers.</param>
    /// <param name="offset">Of the name; moved behind it when true is returned.</param>
    /// <param name="text">Takes at least <see cref="MaximalTextBytes"/>.</param>
    /// <param name="length">Of the text, in bytes.</param>
    /// <returns>False: the name leaves the message, points forward or in circles, is too long, or has labels of unknown kind.</returns>
    public static bool TryRead(ReadOnlySpan<byte> message, ref int offset, Span<byte> text, out int length)
    {
        length = 0;
        var labels = new LabelReader(message, offset);
        while (labels.TryNext(out ReadOnlySpan<byte> label))
        {
            if (label.IsEmpty)
            {
                offset = labels.End;
                return true;
            }

            if (length > 0)
                text[length++] = (byte)'.';
            foreach (byte b in label)
                length += WriteByte(b, text[length..]);
        }

        return false;
    }

    /// <summary>Moves <paramref name="offset"/> behind the name. False as for <see cref="TryRead"/>.</summary>
    public static bool TrySkip(ReadOnlySpan<byte> message, ref int offset)
    {
        var labels = new LabelReader(message, offset);
        while (labels.TryNext(out ReadOnlySpan<byte> label))
        {
            if (!label.IsEmpty)
                continue;
            offset = labels.End;
            return true;
        }

        return false;
    }

    /// <summary>Whether two names of a message are the same, letters in either case. False if one cannot be read.</summary>
    public static bool AreEqual(ReadOnlySpan<byte> message, int one, int other)
    {
        LabelReader left = new(message, one), right = new(message, other);
        while (left.TryNext(out ReadOnlySpan<byte> a) && right.TryNext(out ReadOnlySpan<byte> b))
        {
            if (!System.Text.Ascii.EqualsIgnoreCase(a, b) && !a.SequenceEqual(b))
                return false;
            if (a.IsEmpty)
                return true;
        }

        return false;
    }

    /// <summary>
    /// Writes a name given as text, with or without the final dot, uncompressed. Returns the bytes written; 0 if it does not fit or is no name.
    /// </summary>
    public static int Write(ReadOnlySpan<char> text, Span<byte> destination)
    {
        if (text is [.., '.'])
            text = text[..^1];
        int at = 0;
        while (!text.IsEmpty)
        {
            int dot = text.IndexOf('.');
            int written = WriteLabel(dot < 0 ? text : text[..dot], destination[at..]);
            if (written == 0)
                return 0;
            at += written;
            if (dot == text.Length - 1)
                return 0;
            text = dot < 0 ? [] : text[(dot + 1)..];
        }

        if (at >= destination.Length || at >= MaximalBytes)
            return 0;
        destination[at] = 0;
        return at + 1;
    }

    private static int WriteLabel(ReadOnlySpan<char> text, Span<byte> destination)
    {
        int at = 1;
        for (int i = 0; i < text.Length; i++, at++)
        {
            int value = text[i];
            if (value == '\\')
            {
                if (i + 3 >= text.Length || !byte.TryParse(text.Slice(i + 1, 3), out byte escaped))
                    return 0;
                value = escaped;
                i += 3;
            }

            if (value > byte.MaxValue || at > MaximalLabelBytes || at >= destination.Length)
                return 0;
            destination[at] = (byte)value;
        }

        if (at == 1)
            return 0;
        destination[0] = (byte)(at - 1);
        return at;
    }

    private static int WriteByte(byte b, Span<byte> text)
    {
        if (b is >= (byte)'A' and <= (byte)'Z')
        {
            text[0] = (byte)(b | 0x20);
            return 1;
        }

        if (b is >= (byte)'a' and <= (byte)'z' or >= (byte)'0' and <= (byte)'9' or (byte)'-' or (byte)'_')
        {
            text[0] = b;
            return 1;
        }

        text[0] = (byte)'\\';
        text[1] = (byte)('0' + (b / 100));
        text[2] = (byte)('0' + (b / 10 % 10));
        text[3] = (byte)('0' + (b % 10));
        return 4;
    }

    // Follows pointers. Each has to point before the place where the labels it ends began, so there is an end to them.
    private ref struct LabelReader(ReadOnlySpan<byte> message, int offset)
    {
        private readonly ReadOnlySpan<byte> _message = message;
        private int _at = offset;
        private int _segment = offset;
        private int _total = 0;

        // Behind the name at the place where it was first read.
        public int End { get; private set; } = -1;

        // An empty label is the root, the end of the name.
        public bool TryNext(out ReadOnlySpan<byte> label)
        {
            label = default;
            while ((uint)_at < (uint)_message.Length)
            {
                int length = _message[_at];
                if ((length & PointerBits) == PointerBits)
                {
                    if (_at + 1 >= _message.Length)
                        return false;
                    int target = ((length & ~PointerBits) << 8) | _message[_at + 1];
                    if (End < 0)
                        End = _at + 2;
                    if (target >= _segment)
                        return false;
                    _segment = _at = target;
                    continue;
                }

                if ((length & PointerBits) != 0)
                    return false;
                _total += length + 1;
                if (_total > MaximalBytes || _at + 1 + length > _message.Length)
                    return false;
                label = _message.Slice(_at + 1, length);
                _at += length + 1;
                if (length == 0 && End < 0)
                    End = _at;
                return true;
            }

            return false;
        }
    }
}
