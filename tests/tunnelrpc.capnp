# SPDX-License-Identifier: Apache-2.0
#
# The structs and interfaces of cloudflared's control stream as docs/protocol.md lays them out,
# written anew from the layouts seen on the wire. For tests: the capnp tool reads with it what
# wire/registration_codec.c writes, and writes what it reads.

@0xd0b2fc3b5a1e6a97;

interface RegistrationServer @0xf71695ec7fe85497 {
  registerConnection @0 RegisterConnectionParams -> RegisterConnectionResults;
  unregisterConnection @1 Nothing -> Nothing;
  updateLocalConfiguration @2 UpdateLocalConfigurationParams -> Nothing;
}

struct Nothing {}

struct RegisterConnectionParams @0xe6646dec8feaa6ee {
  auth @0 :TunnelAuth;
  tunnelId @1 :Data;
  connIndex @2 :UInt8;
  options @3 :ConnectionOptions;
}

struct RegisterConnectionResults {
  result @0 :ConnectionResponse;
}

struct UpdateLocalConfigurationParams {
  config @0 :Data;
}

struct TunnelAuth @0x9496331ab9cd463f {
  accountTag @0 :Text;
  tunnelSecret @1 :Data;
}

struct ConnectionOptions @0xb4bf9861fe035d04 {
  client @0 :ClientInfo;
  originLocalIp @1 :Data;
  replaceExisting @2 :Bool;
  compressionQuality @3 :UInt8;
  numPreviousAttempts @4 :UInt8;
}

struct ClientInfo @0x83ced0145b2f114b {
  clientId @0 :Data;
  features @1 :List(Text);
  version @2 :Text;
  arch @3 :Text;
}

struct ConnectionResponse @0xdbaa9d03d52b62dc {
  result :union {
    error @0 :ConnectionError;
    connectionDetails @1 :ConnectionDetails;
  }
}

struct ConnectionError @0xf5f383d2785edb86 {
  cause @0 :Text;
  retryAfter @1 :Int64;
  shouldRetry @2 :Bool;
}

struct ConnectionDetails @0xb5f39f082b9ac18a {
  uuid @0 :Data;
  locationName @1 :Text;
  tunnelIsRemotelyManaged @2 :Bool;
}
