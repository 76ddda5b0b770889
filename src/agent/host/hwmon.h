// SPDX-License-Identifier: Apache-2.0
// Names of the hwmon collector, for it and its tests.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tocayo::agent {

struct SensorName {  // views into the file's name
  std::string_view type;
  std::uint64_t number = 0;
  std::string_view property;
};
// "temp1_crit_alarm" is temp, 1, crit_alarm; false for a file that is no sensor's.
bool split_sensor_name(std::string_view file, SensorName& name);
std::string clean_metric_name(std::string_view text);

}  // namespace tocayo::agent
