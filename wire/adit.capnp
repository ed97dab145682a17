# SPDX-License-Identifier: Apache-2.0
#
# What adit adds to the tunnel protocol, on the bootstrap capability of the
# control stream. Only between adit peers: the agent calls it after the edge has
# announced itself with the adit-edge header.

@0xbc9de53179b0c0f2;

interface RouteAdvertiser @0xad17a0d1e5c0f5b1 {
  # An agent's whole set of virtual networks and routes, in calls of at most 256
  # entries. The set replaces the one of the same connector when the last call has
  # arrived. An unchanged set is repeated as one call with hashOnly.
  advertise @0 AdvertiseParams -> AdvertiseResults;
}

struct AdvertiseParams {
  instanceId @0 :Data;     # UUID of the agent's state file, 16 bytes
  generation @1 :UInt64;   # counts a process's sets; the same in all calls of one set
  hash @2 :Data;           # SHA-256 of the whole set, 32 bytes
  hashOnly @3 :Bool;       # "still this set": no entries in this call
  last @4 :Bool;           # the set is complete with this call
  virtualNetworks @5 :List(VirtualNetwork);
  routes @6 :List(Route);
}

struct AdvertiseResults {
  sendAll @0 :Bool;        # the hash is unknown here: send the whole set
  verdicts @1 :List(Verdict);  # of the virtual networks, then the routes, in the call's order
}

struct VirtualNetwork {
  name @0 :Text;           # "" is the edge's default network
  comment @1 :Text;
}

struct Route {
  network @0 :Text;        # "10.0.0.0/8"
  virtualNetwork @1 :Text; # a name
  comment @2 :Text;
}

struct Verdict {
  accepted @0 :Bool;
  reason @1 :Text;         # for people; empty when accepted
}
