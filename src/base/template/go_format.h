// SPDX-License-Identifier: Apache-2.0
// Text as Go's fmt and strconv print it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/error.h"
#include "template/value.h"

namespace tocayo::templates {

// strconv.FormatFloat(value, verb, precision, 64); verbs e E f F g G x X; precision -1: the shortest text that reads
// back.
void append_float(std::string& out, double value, char verb, int precision);
std::string format_float(double value, char verb = 'g', int precision = -1);
// strconv.ParseFloat: decimal, hexadecimal, infinities, NaN, underscores only after a base prefix. The error is Go's
// whole text: `strconv.ParseFloat: parsing "one": invalid syntax`.
Result<double> parse_float(std::string_view text);
// strconv.ParseInt(text, 10, 64) with Go's error text.
Result<std::int64_t> parse_int(std::string_view text);

// fmt.Fprint of one value, as a template's output prints it: nothing is `<no value>`.
void print_value(std::string& out, const Value& value);
// fmt.Sprint: a space between operands when neither is a string. fmt.Sprintln. Nothing is `<nil>`.
void sprint(std::string& out, std::span<const Value> values);
void sprintln(std::string& out, std::span<const Value> values);
// fmt.Sprintf. Mistakes are printed, never failed. Widths and precisions are at most 1e6, as in Go; the result is cut
// at `limit` bytes.
void sprintf(std::string& out, std::string_view format, std::span<const Value> values, std::size_t limit = 1 << 20);

// template.HTMLEscapeString, template.JSEscapeString, url.QueryEscape.
void html_escape(std::string& out, std::string_view text);
void js_escape(std::string& out, std::string_view text);
void query_escape(std::string& out, std::string_view text);
// url.QueryUnescape; bad_input: `invalid URL escape "%zz"`.
Result<std::string> query_unescape(std::string_view text);
// encoding/json.Marshal: keys sorted, `<>&` escaped. Times as RFC 3339, objects that are maps or lists by their
// entries, other objects as `{}`.
void append_json(std::string& out, const Value& value, Arena& arena);

}  // namespace tocayo::templates
