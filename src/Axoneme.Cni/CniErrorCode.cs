// SPDX-License-Identifier: Apache-2.0
namespace Axoneme.Cni;

/// <summary>Well-known error codes (CNI specification 1.1, section 5 "Error"); 100 and above are the plugin's own.</summary>
public enum CniErrorCode
{
    IncompatibleVersion = 1,
    UnsupportedField = 2,
    UnknownContainer = 3,
    InvalidEnvironment = 4,
    IoFailure = 5,
    DecodingFailure = 6,
    InvalidNetworkConfig = 7,
    TryAgainLater = 11,
    PluginNotAvailable = 50,
    LimitedConnectivity = 51,
    Internal = 100,
}
