// SPDX-License-Identifier: Apache-2.0
// The systemd collector against a manager of our own, at the other end of a socket pair.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <thread>

#include "agent/host/systemd.h"

namespace tocayo::agent {
namespace {

int list_units(sd_bus_message* call, void*, sd_bus_error*) {
  sd_bus_message* reply = nullptr;
  sd_bus_message_new_method_return(call, &reply);
  sd_bus_message_open_container(reply, 'a', "(ssssssouso)");
  auto add = [&](const char* name, const char* load, const char* active, const char* path) {
    sd_bus_message_append(reply, "(ssssssouso)", name, "", load, active, "", "", path, 0u, "", "/");
  };
  add("good.service", "loaded", "active", "/unit/good");
  add("bad.service", "loaded", "failed", "/unit/bad");
  add("gone.service", "not-found", "failed", "/unit/gone");
  add("ssh.socket", "loaded", "active", "/unit/ssh");
  add("daily.timer", "loaded", "active", "/unit/daily");
  add("home.mount", "loaded", "active", "/unit/home");
  sd_bus_message_close_container(reply);
  int sent = sd_bus_send(nullptr, reply, nullptr);
  sd_bus_message_unref(reply);
  return sent;
}
int text(sd_bus*, const char*, const char*, const char* property, sd_bus_message* reply, void*, sd_bus_error*) {
  std::string_view name = property;
  return sd_bus_message_append(reply, "s",
                               name == "SystemState" ? "degraded"
                               : name == "Version"   ? "252.39-1"
                               : name == "Type"      ? "oneshot"
                                                     : "kvm");
}
int count(sd_bus*, const char*, const char*, const char* property, sd_bus_message* reply, void*, sd_bus_error*) {
  std::string_view name = property;
  return sd_bus_message_append(reply, "u", name == "NAccepted" ? 7u : name == "NConnections" ? 2u : 1u);
}
int moment(sd_bus*, const char*, const char*, const char*, sd_bus_message* reply, void*, sd_bus_error*) {
  return sd_bus_message_append(reply, "t", std::uint64_t{1700000000500000});
}

const sd_bus_vtable kManager[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("ListUnits", "", "a(ssssssouso)", list_units, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_PROPERTY("SystemState", "s", text, 0, 0),
    SD_BUS_PROPERTY("Version", "s", text, 0, 0),
    SD_BUS_PROPERTY("Virtualization", "s", text, 0, 0),
    SD_BUS_VTABLE_END};
const sd_bus_vtable kServiceUnit[] = {SD_BUS_VTABLE_START(0), SD_BUS_PROPERTY("Type", "s", text, 0, 0),
                                      SD_BUS_VTABLE_END};
const sd_bus_vtable kSocketUnit[] = {SD_BUS_VTABLE_START(0), SD_BUS_PROPERTY("NAccepted", "u", count, 0, 0),
                                     SD_BUS_PROPERTY("NConnections", "u", count, 0, 0),
                                     SD_BUS_PROPERTY("NRefused", "u", count, 0, 0), SD_BUS_VTABLE_END};
const sd_bus_vtable kTimerUnit[] = {SD_BUS_VTABLE_START(0), SD_BUS_PROPERTY("LastTriggerUSec", "t", moment, 0, 0),
                                    SD_BUS_VTABLE_END};

void serve(int fd, std::atomic<bool>& stop) {
  sd_bus* bus = nullptr;
  sd_id128_t id{};
  sd_id128_randomize(&id);
  sd_bus_new(&bus);
  sd_bus_set_fd(bus, fd, fd);
  sd_bus_set_server(bus, 1, id);
  sd_bus_set_anonymous(bus, 1);
  sd_bus_add_object_vtable(bus, nullptr, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", kManager,
                           nullptr);
  sd_bus_add_object_vtable(bus, nullptr, "/unit/bad", "org.freedesktop.systemd1.Service", kServiceUnit, nullptr);
  sd_bus_add_object_vtable(bus, nullptr, "/unit/ssh", "org.freedesktop.systemd1.Socket", kSocketUnit, nullptr);
  sd_bus_add_object_vtable(bus, nullptr, "/unit/daily", "org.freedesktop.systemd1.Timer", kTimerUnit, nullptr);
  sd_bus_start(bus);
  while (!stop) {
    int processed = sd_bus_process(bus, nullptr);
    if (processed < 0) break;
    if (processed == 0) sd_bus_wait(bus, 50000);
  }
  sd_bus_flush_close_unref(bus);
}

TEST(Systemd, CountsSocketsTimersAndFailedUnitsOnly) {
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
  std::atomic<bool> stop = false;
  std::thread server([&] { serve(fds[1], stop); });
  std::map<std::string, double> values;
  {
    HostContext context{HostOptions()};
    Writer writer{Labels()};
    auto open = [&](sd_bus** bus) {
      sd_bus_new(bus);
      sd_bus_set_fd(*bus, fds[0], fds[0]);
      sd_bus_set_anonymous(*bus, 1);
      return sd_bus_start(*bus);
    };
    auto collector = make_systemd_with(context, writer, open, true);
    Buffer buffer;
    writer.begin(0);
    auto collected = collector->collect(writer, buffer);
    EXPECT_TRUE(collected.has_value()) << collected.error().message;
    for (const Sample& sample : writer.samples()) values[sample.series->labels.to_string()] = sample.value;
  }
  stop = true;
  server.join();
  EXPECT_EQ(values["node_systemd_units{state=\"active\"}"], 4);
  EXPECT_EQ(values["node_systemd_units{state=\"failed\"}"], 2);
  EXPECT_EQ(values["node_systemd_socket_accepted_connections_total{name=\"ssh.socket\"}"], 7);
  EXPECT_EQ(values["node_systemd_socket_current_connections{name=\"ssh.socket\"}"], 2);
  EXPECT_EQ(values["node_systemd_socket_refused_connections_total{name=\"ssh.socket\"}"], 1);
  EXPECT_EQ(values["node_systemd_timer_last_trigger_seconds{name=\"daily.timer\"}"], 1700000000.5);
  EXPECT_EQ(values["node_systemd_unit_state{name=\"bad.service\", state=\"failed\", type=\"oneshot\"}"], 1);
  EXPECT_EQ(values["node_systemd_unit_state{name=\"bad.service\", state=\"active\", type=\"oneshot\"}"], 0);
  EXPECT_EQ(values["node_systemd_system_running"], 0);
  EXPECT_EQ(values["node_systemd_version{version=\"252.39-1\"}"], 252);
  for (const auto& [series, value] : values) {
    EXPECT_EQ(series.find("good.service"), std::string::npos) << series;
    EXPECT_EQ(series.find("gone.service"), std::string::npos) << series;
  }
}

TEST(Systemd, NoBusIsNoFailureToSpeakOf) {
  HostContext context{HostOptions()};
  Writer writer{Labels()};
  auto collector = make_systemd_with(context, writer, [](sd_bus**) { return -ENOENT; }, false);
  Buffer buffer;
  writer.begin(0);
  auto collected = collector->collect(writer, buffer);
  ASSERT_FALSE(collected.has_value());
  EXPECT_EQ(collected.error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace tocayo::agent
