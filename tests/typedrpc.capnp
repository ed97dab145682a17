# SPDX-License-Identifier: Apache-2.0
#
# The Message of capnp/rpc.capnp once more, with the content of its payload typed: same layout,
# but the tool sees the whole message where it would print <opaque pointer>.

@0xb6d8ab8f5ed3b0c1;

using Tunnel = import "tunnelrpc.capnp";
using Adit = import "../wire/adit.capnp";

struct Payload(Content) {
  content @0 :Content;
  capTable @1 :List(CapDescriptor);
}

struct CapDescriptor {
  tag @0 :UInt16;
  unused @1 :UInt16;
  id @2 :UInt32;
  other @3 :AnyPointer;
}

struct PromisedAnswer {
  questionId @0 :UInt32;
  transform @1 :List(Op);
}

struct Op {
  tag @0 :UInt16;
  index @1 :UInt16;
}

struct Target {
  importedCap @0 :UInt32;
  tag @1 :UInt16;         # 0 importedCap, 1 promisedAnswer
  promisedAnswer @2 :PromisedAnswer;
}

struct Call(Params) {
  questionId @0 :UInt32;
  methodId @1 :UInt16;
  sendResultsTo @2 :UInt16;
  interfaceId @3 :UInt64;
  flags @4 :UInt64;
  target @5 :Target;
  params @6 :Payload(Params);
  thirdParty @7 :AnyPointer;
}

struct Return(Results) {
  answerId @0 :UInt32;
  releaseParamCaps @1 :Bool = true;
  tag @2 :UInt16;
  other @3 :UInt64;
  results @4 :Payload(Results);
}

struct RegisterCall {
  tag @0 :UInt16;
  call @1 :Call(Tunnel.RegisterConnectionParams);
}

struct UnregisterCall {
  tag @0 :UInt16;
  call @1 :Call(Tunnel.Nothing);
}

struct LocalConfigCall {
  tag @0 :UInt16;
  call @1 :Call(Tunnel.UpdateLocalConfigurationParams);
}

struct AdvertiseCall {
  tag @0 :UInt16;
  call @1 :Call(Adit.AdvertiseParams);
}

struct RegisterReturn {
  tag @0 :UInt16;
  ret @1 :Return(Tunnel.RegisterConnectionResults);
}

struct AdvertiseReturn {
  tag @0 :UInt16;
  ret @1 :Return(Adit.AdvertiseResults);
}
