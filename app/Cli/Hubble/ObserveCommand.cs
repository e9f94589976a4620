// SPDX-License-Identifier: Apache-2.0
using Axoneme.Grpc;
using Axoneme.Hubble;
using Axoneme.Hubble.Api;
using Axoneme.Hubble.Filters;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;

namespace Axoneme.Cli.Hubble;

/// <summary><c>hubble observe [flows]</c>: prints flows of a server, or of a file with flows as JSON.</summary>
internal sealed class ObserveCommand(TextWriter output, TextWriter errors, TimeProvider time, bool isTerminal)
{
    /// <summary>What the plain outputs show, and hence all that the server needs to send for them.</summary>
    private static readonly string[] DefaultMask =
    [
        "time", "verdict", "ethernet", "IP", "l4", "source.identity", "source.namespace", "source.pod_name", "destination.identity",
        "destination.namespace", "destination.pod_name", "Type", "node_name", "l7", "event_type", "source_service", "destination_service",
        "is_reply", "Summary", "ip_trace_id", "drop_reason_desc", "traffic_direction", "policy_match_type", "source_names",
        "destination_names", "auth_type", "sock_xlate_point", "debug_capture_point",
    ];

    private readonly ServerFlags _server = new();
    private readonly FilterFlags _filters = new();
    private readonly RangeFlags _range = new(time);
    private readonly List<string> _fieldMask = [];
    private string _outputName = "compact";
    private string _timeFormat = "StampMilli";
    private string _color = "auto";
    private bool _printNodeName;
    private bool _printPolicyNames;
    private bool _translate = true;
    private bool _numeric;
    private bool _useDefaultMask = true;
    private bool _printRawFilters;
    private bool _silentErrors;
    private string? _inputFile;

    public async Task<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellation)
    {
        FlagSet flags = Flags();
        List<string> rest = flags.Parse(arguments);
        if (flags.IsHelpWanted)
        {
            flags.WriteHelp(output);
            return 0;
        }

        if (rest.Count > 0)
            throw new UserErrorException($"unknown command \"{rest[0]}\" for \"hubble observe\"");
        Validate();
        (List<FlowFilter> allow, List<FlowFilter> deny) = _filters.Build();
        if (_printRawFilters)
            return PrintRawFilters(allow, deny);
        GetFlowsRequest request = Request(allow, deny);
        var printer = new FlowPrinter(PrinterOptions(), output, _silentErrors ? TextWriter.Null : errors);
        if (_inputFile is not null)
            await FromFileAsync(request, printer, cancellation).ConfigureAwait(false);
        else
            await FromServerAsync(request, printer, cancellation).ConfigureAwait(false);
        printer.Close();
        return 0;
    }

    private FlagSet Flags()
    {
        var flags = new FlagSet("hubble observe [flows] [flags]");
        _server.AddTo(flags);
        _filters.AddTo(flags);
        _range.AddTo(flags);
        flags.Value("output", v => _outputName = v, "FORMAT", "compact, dict, table, json, jsonpb", 'o')
            .Value("time-format", v => _timeFormat = v, "NAME", "StampMilli, RFC3339, RFC3339Milli, RFC3339Micro, RFC3339Nano, RFC1123Z, YearMonthDay ...")
            .Value("color", v => _color = v, "WHEN", "auto, always, never")
            .Switch("print-node-name", v => _printNodeName = v, "print the node of each flow")
            .Switch("print-policy-names", v => _printPolicyNames = v, "print which policies decided")
            .Switch("ip-translation", v => _translate = v, "print names instead of addresses")
            .Switch("numeric", v => _numeric = v, "print addresses instead of names")
            .List("field-mask", _fieldMask.Add, "FIELDS", "fields of the flow to fetch (JSON outputs)")
            .Switch("use-default-field-masks", v => _useDefaultMask = v, "fetch only the fields that are printed")
            .Switch("print-raw-filters", v => _printRawFilters = v, "print the filters and stop")
            .Switch("silent-errors", v => _silentErrors = v, "do not print errors of nodes", 's')
            .Value("input-file", v => _inputFile = v, "FILE", "read flows as JSON from a file, or from - for the standard input");
        return flags;
    }

    private void Validate()
    {
        _range.Validate();
        if (ParseOutput() == FlowOutput.Table && _range.Follow)
            throw new UserErrorException("table output format is not compatible with follow mode");
        if (_fieldMask.Count > 0 && ParseOutput() != FlowOutput.Json)
            throw new UserErrorException($"--field-mask is not compatible with {_outputName} output, use json");
        if (_color is not ("auto" or "always" or "never"))
            throw new UserErrorException($"invalid --color value: {_color}");
        if (_fieldMask.Find(p => !FieldMask.IsValid<Flow>(p)) is { } unknown)
            throw new UserErrorException($"invalid --field-mask value: a flow has no field {unknown}");
    }

    private FlowOutput ParseOutput() => FlowPrinterOptions.ParseOutput(_outputName);

    private FlowPrinterOptions PrinterOptions() => new()
    {
        Output = ParseOutput(),
        TimeFormat = _timeFormat,
        PrintNodeName = _printNodeName,
        PrintPolicyNames = _printPolicyNames,
        Translate = _translate && !_numeric,
        Color = _color == "always" || (_color == "auto" && isTerminal),
        Debug = _server.Debug,
        IsLegacyJson = _outputName == "json"
            && (Environment.GetEnvironmentVariable("HUBBLE_COMPAT") ?? "").Split(',').Contains("legacy-json-output"),
    };

    private GetFlowsRequest Request(List<FlowFilter> allow, List<FlowFilter> deny)
    {
        var request = new GetFlowsRequest
        {
            Follow = _range.Follow,
            First = _range.First is not null,
            Since = _range.Since,
            Until = _range.Follow ? null : _range.Until,
            Number = _range.Number(isDefaulted: !_range.Follow && _inputFile is null),
        };
        request.Whitelist.Add(allow);
        request.Blacklist.Add(deny);
        IEnumerable<string> mask = ParseOutput() == FlowOutput.Json ? _fieldMask : _useDefaultMask ? Mask() : [];
        if (mask.Any())
            request.FieldMask = new FieldMask { Paths = { mask } };
        return request;
    }

    private IEnumerable<string> Mask()
        => _printPolicyNames
            ? DefaultMask.Concat(["egress_allowed_by", "ingress_allowed_by", "egress_denied_by", "ingress_denied_by"]) : DefaultMask;

    private async Task FromServerAsync(GetFlowsRequest request, FlowPrinter printer, CancellationToken cancellation)
    {
        using GrpcChannel channel = _server.Connect();
        try
        {
            await using var stream = await channel.ServerStreamAsync(ObserverMethods.GetFlows, request, cancellation: cancellation).ConfigureAwait(false);
            while (await stream.ReadAsync().ConfigureAwait(false) is { } response)
            {
                printer.Print(response);
                if (_range.Follow)
                    await output.FlushAsync(cancellation).ConfigureAwait(false);
            }
        }
        catch (GrpcException e) when (e.Status == GrpcStatus.Canceled)
        {
            // The reader has seen enough: that is how a followed stream ends.
        }
    }

    private async Task FromFileAsync(GetFlowsRequest request, FlowPrinter printer, CancellationToken cancellation)
    {
        FlowFilters filters;
        try
        {
            filters = FlowFilters.Compile(request.Whitelist, request.Blacklist);
        }
        catch (FormatException e)
        {
            throw new UserErrorException(e.Message);
        }

        ulong number = request.Number == 0 ? ulong.MaxValue : request.Number;
        var kept = new Queue<GetFlowsResponse>();
        ulong printed = 0;
        await foreach (GetFlowsResponse response in FlowFile.ReadAsync(_inputFile!, cancellation).ConfigureAwait(false))
        {
            if (response.Flow is { } flow && (!filters.Matches(flow) || !IsInRange(request, response.Time)))
                continue;
            if (_range.Last is null)
            {
                printer.Print(response);
                if (response.Flow is not null && ++printed == number)
                    return;
                continue;
            }

            kept.Enqueue(response);
            if ((ulong)kept.Count > number)
                kept.Dequeue();
        }

        foreach (GetFlowsResponse response in kept)
            printer.Print(response);
    }

    private static bool IsInRange(GetFlowsRequest request, Timestamp? at)
        => at is null || ((request.Since is null || at >= request.Since) && (request.Until is null || at <= request.Until));

    private int PrintRawFilters(List<FlowFilter> allow, List<FlowFilter> deny)
    {
        foreach ((string name, List<FlowFilter> filters) in new[] { ("allowlist", allow), ("denylist", deny) })
        {
            if (filters.Count == 0)
                continue;
            output.WriteLine($"{name}:");
            foreach (FlowFilter filter in filters)
                output.WriteLine($"    - '{JsonObjects.Of(filter)}'");
        }

        return 0;
    }
}
