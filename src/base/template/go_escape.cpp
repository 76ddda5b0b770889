// SPDX-License-Identifier: Apache-2.0
// Escapers of Go's text/template, net/url and encoding/json.
#include <fmt/format.h>

#include <cmath>

#include "core/labels.h"
#include "core/percent.h"
#include "core/utf8.h"
#include "template/go_format.h"
#include "template/go_time.h"

namespace tocayo::templates {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const auto rune = utf8::decode(text);
    const char c = text[0];
    if (rune.size == 1 && rune.valid) {
      if (c == '"' || c == '\\') {
        out += '\\';
        out += c;
      } else if (c == '\n') {
        out += "\\n";
      } else if (c == '\r') {
        out += "\\r";
      } else if (c == '\t') {
        out += "\\t";
      } else if (c == '\b') {
        out += "\\b";
      } else if (c == '\f') {
        out += "\\f";
      } else if (static_cast<unsigned char>(c) < 0x20 || c == '<' || c == '>' || c == '&') {
        fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
      } else {
        out += c;
      }
    } else if (!rune.valid) {
      out += "\\ufffd";
    } else if (rune.code_point == 0x2028 || rune.code_point == 0x2029) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", rune.code_point);
    } else {
      out += text.substr(0, rune.size);
    }
    text.remove_prefix(rune.size);
  }
  out += '"';
}

void append_json_number(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";
    return;
  }
  const double magnitude = std::fabs(value);
  if (magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21)) {
    std::string text = format_float(value, 'e', -1);
    // e-09 becomes e-9, as JavaScript writes it.
    const auto n = text.size();
    if (n >= 4 && text[n - 4] == 'e' && (text[n - 3] == '-' || text[n - 3] == '+') && text[n - 2] == '0') {
      text.erase(n - 2, 1);
    }
    out += text;
    return;
  }
  append_float(out, value, 'f', -1);
}

void append_json_at(std::string& out, const Value& value, Arena& arena, int depth) {
  if (depth > 100) {
    out += "null";
    return;
  }
  const auto list = [&](std::span<const Value> elements) {
    out += '[';
    for (std::size_t i = 0; i < elements.size(); ++i) {
      if (i > 0) out += ',';
      append_json_at(out, elements[i], arena, depth + 1);
    }
    out += ']';
  };
  const auto map = [&](std::span<const MapEntry> entries) {
    out += '{';
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out += ',';
      append_json_string(out, entries[i].key);
      out += ':';
      append_json_at(out, entries[i].value, arena, depth + 1);
    }
    out += '}';
  };
  switch (value.kind) {
    case Kind::none:
    case Kind::function: out += "null"; return;
    case Kind::boolean: out += value.boolean ? "true" : "false"; return;
    case Kind::integer:
    case Kind::duration: fmt::format_to(std::back_inserter(out), "{}", value.integer); return;
    case Kind::unsigned_integer: fmt::format_to(std::back_inserter(out), "{}", value.unsigned_integer); return;
    case Kind::floating: append_json_number(out, value.floating); return;
    case Kind::string: append_json_string(out, value.string()); return;
    case Kind::time: append_json_string(out, format_time(*value.time, "2006-01-02T15:04:05.999999999Z07:00")); return;
    case Kind::list: list(value.elements()); return;
    case Kind::map: map(value.entries()); return;
    case Kind::object:
      if (value.object->is_list()) {
        list(value.object->elements(arena));
      } else {
        map(value.object->entries(arena));
      }
      return;
  }
}

}  // namespace

void html_escape(std::string& out, std::string_view text) {
  for (const char c : text) {
    switch (c) {
      case '\0': out += "\uFFFD"; break;
      case '"': out += "&#34;"; break;
      case '\'': out += "&#39;"; break;
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      default: out += c;
    }
  }
}

void js_escape(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const auto rune = utf8::decode(text);
    const char c = text[0];
    if (rune.size > 1 || !rune.valid) {
      if (rune.valid && utf8::is_printable(rune.code_point)) {
        out += text.substr(0, rune.size);
      } else if (!rune.valid) {
        out += text.substr(0, 1);
      } else {
        fmt::format_to(std::back_inserter(out), "\\u{:04X}", rune.code_point);
      }
    } else if (c == '\\' || c == '\'' || c == '"') {
      out += '\\';
      out += c;
    } else if (c == '<' || c == '>' || c == '&' || c == '=' || c < ' ') {
      fmt::format_to(std::back_inserter(out), "\\u{:04X}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
    text.remove_prefix(rune.size);
  }
}

void query_escape(std::string& out, std::string_view text) { out += form_encode(text); }

Result<std::string> query_unescape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] == '%') {
      if (i + 2 >= text.size() || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0) {
        return fail(ErrorKind::bad_input, "invalid URL escape " + go_quote(text.substr(i, 3)));
      }
      out += static_cast<char>(hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

void append_json(std::string& out, const Value& value, Arena& arena) { append_json_at(out, value, arena, 0); }

}  // namespace tocayo::templates
