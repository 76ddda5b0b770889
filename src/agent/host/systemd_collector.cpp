// SPDX-License-Identifier: Apache-2.0
// node_systemd_*, bounded: counts of units by state, sockets and timers; the state of single units only for failed
// ones, unless
// --collector.systemd.all-units asks for them (220 services in five states are what makes people switch this off).
#include <systemd/sd-bus.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <optional>

#include "agent/host/collectors.h"
#include "agent/host/scan.h"
#include "agent/host/systemd.h"

namespace tocayo::agent {
namespace {

constexpr const char* kService = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr std::array<std::string_view, 5> kStates = {"active", "activating", "deactivating", "inactive", "failed"};
constexpr std::uint64_t kCallMicros = 500000;

struct Unit {
  std::string name, active, path;
};

class SystemdCollector final : public Collector {
 public:
  SystemdCollector(const HostContext& context, Writer& out, BusOpener open, bool direct)
      : open_(std::move(open)),
        destination_(direct ? nullptr : kService),
        all_units_(context.options.feature("systemd.all-units")),
        restarts_on_(context.options.feature("systemd.enable-restarts-metrics")),
        units_filter_(context.options.filter("systemd.unit")),
        units_(out.gauge("node_systemd_units", "Units by state.", {"state"})),
        unit_state_(
            out.gauge("node_systemd_unit_state", "Whether the unit is in the state.", {"name", "state", "type"})),
        running_(out.gauge("node_systemd_system_running", "Whether the system is up without a failed unit.")),
        version_(out.gauge("node_systemd_version", "Version of systemd.", {"version"})),
        virtualization_(out.gauge("node_systemd_virtualization_info", "Virtualisation that systemd found.",
                                  {"virtualization_type"})),
        accepted_(out.counter("node_systemd_socket_accepted_connections_total", "Connections that the socket accepted.",
                              {"name"})),
        current_(out.gauge("node_systemd_socket_current_connections", "Connections of the socket.", {"name"})),
        refused_(out.gauge("node_systemd_socket_refused_connections_total", "Connections that the socket refused.",
                           {"name"})),
        timer_(out.gauge("node_systemd_timer_last_trigger_seconds", "Unix time at which the timer last went off.",
                         {"name"})),
        restarts_(out.counter("node_systemd_service_restart_total", "Restarts of the service.", {"name"})) {}

  ~SystemdCollector() override { close(); }

  Result<> collect(Writer& out, Buffer&) override {
    if (bus_ == nullptr) {
      if (int error = open_(&bus_); error < 0) {
        bus_ = nullptr;
        return fail(ErrorKind::not_found, "no system bus: " + error_from_errno("connect", -error).message);
      }
      sd_bus_set_method_call_timeout(bus_, kCallMicros);
    }
    auto done = collect_connected(out);
    if (!done) close();
    return done;
  }

 private:
  void close() {
    if (bus_ != nullptr) sd_bus_flush_close_unref(bus_);
    bus_ = nullptr;
  }

  Result<> collect_connected(Writer& out) {
    std::vector<Unit> units;
    if (auto listed = list_units(units); !listed) return listed;
    std::array<double, kStates.size()> counts{};
    for (const Unit& unit : units) {
      for (std::size_t i = 0; i < kStates.size(); ++i) counts[i] += unit.active == kStates[i] ? 1 : 0;
    }
    for (std::size_t i = 0; i < kStates.size(); ++i) out.put(units_, {kStates[i]}, counts[i]);
    if (auto state = text_property(kManagerPath, kManager, "SystemState"))
      out.put(running_, *state == "running" ? 1 : 0);
    if (auto version = text_property(kManagerPath, kManager, "Version")) {
      std::size_t digits = 0;
      while (digits < version->size() && scan::is_digit((*version)[digits])) ++digits;
      out.put(version_, {*version}, scan::to_double(std::string_view(*version).substr(0, digits)).value_or(0));
    }
    if (auto kind = text_property(kManagerPath, kManager, "Virtualization")) {
      out.put(virtualization_, {kind->empty() ? std::string_view("none") : std::string_view(*kind)}, 1);
    }
    for (const Unit& unit : units) put_unit(out, unit);
    return {};
  }

  void put_unit(Writer& out, const Unit& unit) {
    std::string_view name = unit.name;
    if (name.empty()) return;  // counted only
    const char* path = unit.path.c_str();
    if (name.ends_with(".socket")) {
      constexpr const char* kSocket = "org.freedesktop.systemd1.Socket";
      if (auto value = number_property(path, kSocket, "NAccepted", 'u')) out.put(accepted_, {name}, *value);
      if (auto value = number_property(path, kSocket, "NConnections", 'u')) out.put(current_, {name}, *value);
      if (auto value = number_property(path, kSocket, "NRefused", 'u')) out.put(refused_, {name}, *value);
    } else if (name.ends_with(".timer")) {
      if (auto value = number_property(path, "org.freedesktop.systemd1.Timer", "LastTriggerUSec", 't'))
        out.put(timer_, {name}, *value / 1e6);
    }
    if (all_units_ || unit.active == "failed") {
      std::string type;
      if (name.ends_with(".service"))
        type = text_property(path, "org.freedesktop.systemd1.Service", "Type").value_or("");
      for (std::string_view state : kStates) out.put(unit_state_, {name, state, type}, unit.active == state ? 1 : 0);
    }
    if (restarts_on_ && name.ends_with(".service")) {
      if (auto value = number_property(path, "org.freedesktop.systemd1.Service", "NRestarts", 'u'))
        out.put(restarts_, {name}, *value);
    }
  }

  // All units in memory count in the summary; one that is not loaded or does not pass the filter loses its name.
  Result<> list_units(std::vector<Unit>& units) {
    sd_bus_message* reply = nullptr;
    sd_bus_error problem = SD_BUS_ERROR_NULL;
    int code = sd_bus_call_method(bus_, destination_, kManagerPath, kManager, "ListUnits", &problem, &reply, "");
    std::string words = problem.message == nullptr ? "" : problem.message;
    sd_bus_error_free(&problem);
    if (code < 0)
      return fail(ErrorKind::unavailable, "systemd does not list its units: " +
                                              (words.empty() ? error_from_errno("call", -code).message : words));
    code = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
    const char *name = nullptr, *load = nullptr, *active = nullptr, *path = nullptr, *skip = nullptr;
    std::uint32_t job = 0;
    while (code >= 0 && (code = sd_bus_message_read(reply, "(ssssssouso)", &name, &skip, &load, &active, &skip, &skip,
                                                    &path, &job, &skip, &skip)) > 0) {
      units.push_back({name, active, path});
      if (std::string_view(load) != "loaded" || units_filter_.ignored(name)) units.back().name.clear();
    }
    sd_bus_message_unref(reply);
    if (code < 0) return fail(ErrorKind::internal, "systemd's list of units is not understood");
    return {};
  }

  std::optional<std::string> text_property(const char* path, const char* interface, const char* name) {
    char* text = nullptr;
    sd_bus_error problem = SD_BUS_ERROR_NULL;
    int code = sd_bus_get_property_string(bus_, destination_, path, interface, name, &problem, &text);
    sd_bus_error_free(&problem);
    if (code < 0) return std::nullopt;
    std::string value = text;
    ::free(text);
    return value;
  }

  std::optional<double> number_property(const char* path, const char* interface, const char* name, char type) {
    sd_bus_error problem = SD_BUS_ERROR_NULL;
    std::uint32_t small = 0;
    std::uint64_t large = 0;
    void* target = type == 'u' ? static_cast<void*>(&small) : static_cast<void*>(&large);
    int code = sd_bus_get_property_trivial(bus_, destination_, path, interface, name, &problem, type, target);
    sd_bus_error_free(&problem);
    if (code < 0) return std::nullopt;
    return type == 'u' ? static_cast<double>(small) : static_cast<double>(large);
  }

  BusOpener open_;
  const char* destination_;
  bool all_units_, restarts_on_;
  Filter units_filter_;
  const Family &units_, &unit_state_, &running_, &version_, &virtualization_, &accepted_, &current_, &refused_, &timer_,
      &restarts_;
  sd_bus* bus_ = nullptr;
};

}  // namespace

std::unique_ptr<Collector> make_systemd_with(const HostContext& context, Writer& out, BusOpener open, bool direct) {
  return std::make_unique<SystemdCollector>(context, out, std::move(open), direct);
}

// Not for another machine's tree: the bus would be this one's.
std::unique_ptr<Collector> make_systemd(const HostContext& context, Writer& out) {
  bool live = context.options.live();
  return make_systemd_with(
      context, out, [live](sd_bus** bus) { return live ? sd_bus_open_system(bus) : -ENOENT; }, false);
}

}  // namespace tocayo::agent
