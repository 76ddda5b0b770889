// SPDX-License-Identifier: Apache-2.0
// node_nfs_* (client) and node_nfsd_* (server): lines of a keyword and numbers under /proc/net/rpc.
#include <span>

#include "agent/host/collectors.h"
#include "agent/host/scan.h"

namespace tocayo::agent {
namespace {

// Procedures in the order of the protocol, which is the order of the columns.
constexpr std::string_view kV2[] = {"Null", "GetAttr", "SetAttr", "Root",   "Lookup",  "ReadLink",
                                    "Read", "WrCache", "Write",   "Create", "Remove",  "Rename",
                                    "Link", "SymLink", "MkDir",   "RmDir",  "ReadDir", "FsStat"};
constexpr std::string_view kV3[] = {"Null",   "GetAttr", "SetAttr",  "Lookup", "Access",  "ReadLink",
                                    "Read",   "Write",   "Create",   "MkDir",  "SymLink", "MkNod",
                                    "Remove", "RmDir",   "Rename",   "Link",   "ReadDir", "ReadDirPlus",
                                    "FsStat", "FsInfo",  "PathConf", "Commit"};
constexpr std::string_view kClientV4[] = {"Null",
                                          "Read",
                                          "Write",
                                          "Commit",
                                          "Open",
                                          "OpenConfirm",
                                          "OpenNoattr",
                                          "OpenDowngrade",
                                          "Close",
                                          "Setattr",
                                          "FsInfo",
                                          "Renew",
                                          "SetClientID",
                                          "SetClientIDConfirm",
                                          "Lock",
                                          "Lockt",
                                          "Locku",
                                          "Access",
                                          "Getattr",
                                          "Lookup",
                                          "LookupRoot",
                                          "Remove",
                                          "Rename",
                                          "Link",
                                          "Symlink",
                                          "Create",
                                          "Pathconf",
                                          "StatFs",
                                          "ReadLink",
                                          "ReadDir",
                                          "ServerCaps",
                                          "DelegReturn",
                                          "GetACL",
                                          "SetACL",
                                          "FsLocations",
                                          "ReleaseLockowner",
                                          "Secinfo",
                                          "FsidPresent",
                                          "ExchangeID",
                                          "CreateSession",
                                          "DestroySession",
                                          "Sequence",
                                          "GetLeaseTime",
                                          "ReclaimComplete",
                                          "GetDeviceInfo",
                                          "LayoutGet",
                                          "LayoutCommit",
                                          "LayoutReturn",
                                          "SecinfoNoName",
                                          "TestStateID",
                                          "FreeStateID",
                                          "GetDeviceList",
                                          "BindConnToSession",
                                          "DestroyClientID",
                                          "Seek",
                                          "Allocate",
                                          "DeAllocate",
                                          "LayoutStats",
                                          "Clone"};
// Server operations; empty: not shown by node_exporter.
constexpr std::string_view kServerV4[] = {"",
                                          "",
                                          "",
                                          "Access",
                                          "Close",
                                          "Commit",
                                          "Create",
                                          "DelegPurge",
                                          "DelegReturn",
                                          "GetAttr",
                                          "GetFH",
                                          "Link",
                                          "Lock",
                                          "Lockt",
                                          "Locku",
                                          "Lookup",
                                          "LookupRoot",
                                          "Nverify",
                                          "Open",
                                          "OpenAttr",
                                          "OpenConfirm",
                                          "OpenDgrd",
                                          "PutFH",
                                          "",
                                          "",
                                          "Read",
                                          "ReadDir",
                                          "ReadLink",
                                          "Remove",
                                          "Rename",
                                          "Renew",
                                          "RestoreFH",
                                          "SaveFH",
                                          "SecInfo",
                                          "SetAttr",
                                          "SetClientID",
                                          "SetClientIDConfirm",
                                          "Verify",
                                          "Write",
                                          "RelLockOwner"};

class RpcCollector : public Collector {
 protected:
  explicit RpcCollector(std::string path) : file_(std::move(path)) {}

  template <typename Each>
  Result<> each_line(Buffer& buffer, Each each) {
    auto text = TRY(file_.read(buffer));
    std::string_view line;
    while (scan::next_line(text, line)) {
      std::string_view key = scan::next_word(line);
      numbers_.clear();
      for (auto word = scan::next_word(line); !word.empty() && numbers_.size() < 256; word = scan::next_word(line)) {
        auto number = scan::to_u64(word);
        if (!number && !scan::to_double(word))
          return fail(ErrorKind::internal, file_.path() + ": not a number: " + std::string(word.substr(0, 32)));
        numbers_.push_back(number.value_or(0));  // "th" ends with fractions that nobody shows
      }
      if (!key.empty()) each(key);
    }
    return {};
  }

  double number(std::size_t i) const { return i < numbers_.size() ? static_cast<double>(numbers_[i]) : 0; }

  // Column 0 is the number of columns; older kernels have fewer.
  void put_methods(Writer& out, const Family& family, std::string_view protocol,
                   std::span<const std::string_view> names, std::size_t first) {
    for (std::size_t i = first; i < names.size(); ++i) {
      if (!names[i].empty()) out.put(family, {protocol, names[i]}, number(i + 1));
    }
  }

 private:
  KeptFile file_;
  std::vector<std::uint64_t> numbers_;
};

class NfsCollector final : public RpcCollector {
 public:
  NfsCollector(const HostContext& context, Writer& out)
      : RpcCollector(context.proc("net/rpc/nfs")),
        packets_(out.counter("node_nfs_packets_total", "Packets by protocol.", {"protocol"})),
        connections_(out.counter("node_nfs_connections_total", "TCP connections.")),
        rpcs_(out.counter("node_nfs_rpcs_total", "Remote procedure calls.")),
        retransmissions_(out.counter("node_nfs_rpc_retransmissions_total", "Calls sent again.")),
        refreshes_(out.counter("node_nfs_rpc_authentication_refreshes_total", "Authentications refreshed.")),
        requests_(out.counter("node_nfs_requests_total", "Procedures called.", {"proto", "method"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    return each_line(buffer, [&](std::string_view key) {
      if (key == "net") {
        out.put(packets_, {"udp"}, number(1));
        out.put(packets_, {"tcp"}, number(2));
        out.put(connections_, number(3));
      } else if (key == "rpc") {
        out.put(rpcs_, number(0));
        out.put(retransmissions_, number(1));
        out.put(refreshes_, number(2));
      } else if (key == "proc2") {
        put_methods(out, requests_, "2", kV2, 0);
      } else if (key == "proc3") {
        put_methods(out, requests_, "3", kV3, 0);
      } else if (key == "proc4") {
        put_methods(out, requests_, "4", kClientV4, 0);
      }
    });
  }

 private:
  const Family &packets_, &connections_, &rpcs_, &retransmissions_, &refreshes_, &requests_;
};

class NfsdCollector final : public RpcCollector {
 public:
  NfsdCollector(const HostContext& context, Writer& out)
      : RpcCollector(context.proc("net/rpc/nfsd")),
        hits_(out.counter("node_nfsd_reply_cache_hits_total", "Hits of the reply cache.")),
        misses_(out.counter("node_nfsd_reply_cache_misses_total", "Misses of the reply cache.")),
        nocache_(out.counter("node_nfsd_reply_cache_nocache_total", "Operations that need no reply cache.")),
        stale_(out.counter("node_nfsd_file_handles_stale_total", "Stale file handles.")),
        read_(out.counter("node_nfsd_disk_bytes_read_total", "Bytes read.")),
        written_(out.counter("node_nfsd_disk_bytes_written_total", "Bytes written.")),
        threads_(out.gauge("node_nfsd_server_threads", "Kernel threads that serve.")),
        ahead_size_(out.gauge("node_nfsd_read_ahead_cache_size_blocks", "Blocks of the read-ahead cache.")),
        ahead_missed_(out.counter("node_nfsd_read_ahead_cache_not_found_total", "Misses of the read-ahead cache.")),
        packets_(out.counter("node_nfsd_packets_total", "Packets by protocol.", {"proto"})),
        connections_(out.counter("node_nfsd_connections_total", "TCP connections.")),
        errors_(out.counter("node_nfsd_rpc_errors_total", "Calls that failed.", {"error"})),
        rpcs_(out.counter("node_nfsd_server_rpcs_total", "Calls.")),
        requests_(out.counter("node_nfsd_requests_total", "Procedures called.", {"proto", "method"})) {}

  Result<> collect(Writer& out, Buffer& buffer) override {
    return each_line(buffer, [&](std::string_view key) { put_line(out, key); });
  }

 private:
  void put_line(Writer& out, std::string_view key) {
    if (key == "rc") {
      out.put(hits_, number(0));
      out.put(misses_, number(1));
      out.put(nocache_, number(2));
    } else if (key == "fh") {
      out.put(stale_, number(0));
    } else if (key == "io") {
      out.put(read_, number(0));
      out.put(written_, number(1));
    } else if (key == "th") {
      out.put(threads_, number(0));
    } else if (key == "ra") {
      out.put(ahead_size_, number(0));
      out.put(ahead_missed_, number(11));
    } else if (key == "net") {
      out.put(packets_, {"udp"}, number(1));
      out.put(packets_, {"tcp"}, number(2));
      out.put(connections_, number(3));
    } else if (key == "rpc") {
      out.put(errors_, {"fmt"}, number(2));
      out.put(errors_, {"auth"}, number(3));
      out.put(errors_, {"cInt"}, number(4));
      out.put(rpcs_, number(0));
    } else if (key == "proc2") {
      put_methods(out, requests_, "2", kV2, 1);
    } else if (key == "proc3") {
      put_methods(out, requests_, "3", kV3, 1);
    } else if (key == "proc4ops") {
      put_methods(out, requests_, "4", kServerV4, 0);
    } else if (key == "wdeleg_getattr") {
      out.put(requests_, {"4", "WdelegGetattr"}, number(0));
    }
  }

  const Family &hits_, &misses_, &nocache_, &stale_, &read_, &written_, &threads_, &ahead_size_, &ahead_missed_,
      &packets_, &connections_, &errors_, &rpcs_, &requests_;
};

}  // namespace

std::unique_ptr<Collector> make_nfs(const HostContext& context, Writer& out) {
  return std::make_unique<NfsCollector>(context, out);
}
std::unique_ptr<Collector> make_nfsd(const HostContext& context, Writer& out) {
  return std::make_unique<NfsdCollector>(context, out);
}

}  // namespace tocayo::agent
