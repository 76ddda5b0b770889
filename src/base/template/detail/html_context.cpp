// SPDX-License-Identifier: Apache-2.0
#include "template/detail/html_context.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/utf8.h"
#include "template/go_format.h"

namespace tocayo::templates {
namespace {

// What html/template prints where a value is not safe.
constexpr std::string_view kUnsafe = "ZgotmplZ";

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }
bool is_alpha(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
bool is_alnum(char c) { return is_alpha(c) || (c >= '0' && c <= '9'); }

void escape_html(std::string& out, std::string_view text, bool unquoted) {
  for (const char c : text) {
    switch (c) {
      case '\0': out += unquoted ? "&#xfffd;" : "\uFFFD"; break;
      case '"': out += "&#34;"; break;
      case '&': out += "&amp;"; break;
      case '\'': out += "&#39;"; break;
      case '+': out += "&#43;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      default:
        if (unquoted && (is_space(c) || c == '\v' || c == '=' || c == '`')) {
          fmt::format_to(std::back_inserter(out), "&#{};", static_cast<int>(c));
        } else {
          out += c;
        }
    }
  }
}

// A text that is already HTML, put into an attribute: tags go, entities stay.
std::string without_tags(std::string_view html) {
  std::string out;
  bool inside = false;
  for (const char c : html) {
    if (c == '<') {
      inside = true;
    } else if (c == '>' && inside) {
      inside = false;
    } else if (!inside) {
      out += c;
    }
  }
  return out;
}

std::string escape_url(std::string_view text, bool normalise) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool reserved = std::string_view("!#$&*+,/:;=?@[]").find(c) != std::string_view::npos;
    const bool escaped = c == '%' && i + 2 < text.size() && std::isxdigit(static_cast<unsigned char>(text[i + 1])) &&
                         std::isxdigit(static_cast<unsigned char>(text[i + 2]));
    if (is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~' || (normalise && (reserved || escaped))) {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02x}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

bool is_safe_url(std::string_view url) {
  const auto colon = url.find(':');
  if (colon == std::string_view::npos || url.substr(0, colon).find('/') != std::string_view::npos) return true;
  std::string scheme(url.substr(0, colon));
  std::transform(scheme.begin(), scheme.end(), scheme.begin(), [](char c) { return is_alpha(c) ? c | 0x20 : c; });
  return scheme == "http" || scheme == "https" || scheme == "mailto";
}

// Only values that cannot end a declaration, open a comment or call something.
std::string filter_css(std::string_view text) {
  for (const char c : text) {
    if (std::string_view("\"'()/;@[\\]`{}<>").find(c) != std::string_view::npos || c == '\0')
      return std::string(kUnsafe);
  }
  std::string letters;
  for (const char c : text) {
    if (is_alpha(c)) letters += static_cast<char>(c | 0x20);
  }
  if (letters.find("expression") != std::string::npos || letters.find("mozbinding") != std::string::npos) {
    return std::string(kUnsafe);
  }
  return std::string(text);
}

// JSON that is safe inside <script> and in attributes.
std::string script_value(const Value& value, Arena& arena) {
  if (value.kind == Kind::string && value.type == Type::safe_js) return std::string(value.string());
  std::string json;
  append_json(json, value, arena);
  const auto identifier = [](char c) { return is_alnum(c) || c == '_' || c == '$' || c < 0; };
  if (!json.empty() && (identifier(json.front()) || identifier(json.back()))) return " " + json + " ";
  return json;
}

std::string script_string(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const auto rune = utf8::decode(text);
    const char c = text[0];
    switch (c) {
      case '\t': out += "\\t"; break;
      case '\n': out += "\\n"; break;
      case '\f': out += "\\f"; break;
      case '\r': out += "\\r"; break;
      case '\\': out += "\\\\"; break;
      case '/': out += "\\/"; break;
      default:
        if (std::string_view("\"&'+<>`").find(c) != std::string_view::npos || (c >= 0 && c < 0x20)) {
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
        } else if (rune.valid && (rune.code_point == 0x2028 || rune.code_point == 0x2029)) {
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", rune.code_point);
        } else {
          out += text.substr(0, rune.size);
        }
    }
    text.remove_prefix(rune.size);
  }
  return out;
}

std::string printed(const Value& value) {
  std::string text;
  if (!value.is_none()) print_value(text, value);
  return text;
}

}  // namespace

void HtmlContext::literal(std::string& out, std::string_view text) {
  for (const char c : text) follow(out, c);
}

void HtmlContext::begin_attribute() {
  state_ = State::before_value;
  url_ = UrlPart::start;
  std::string name = name_;
  // data-href and svg:href count as what they are named after.
  if (name.starts_with("data-")) name = name.substr(5);
  if (const auto colon = name.find(':'); colon != std::string::npos) name = name.substr(colon + 1);
  static constexpr std::array<std::string_view, 16> kUrls = {
      "action", "archive", "background", "cite",     "classid", "codebase", "data", "formaction",
      "href",   "icon",    "longdesc",   "manifest", "poster",  "profile",  "src",  "usemap"};
  if (name.starts_with("on")) {
    attribute_ = Attribute::script;
  } else if (name == "style") {
    attribute_ = Attribute::css;
  } else if (std::find(kUrls.begin(), kUrls.end(), name) != kUrls.end() || name.find("src") != std::string::npos ||
             name.find("uri") != std::string::npos || name.find("url") != std::string::npos) {
    attribute_ = Attribute::url;
  } else {
    attribute_ = Attribute::plain;
  }
}

void HtmlContext::end_attribute() {
  state_ = State::tag;
  attribute_ = Attribute::plain;
  name_.clear();
}

void HtmlContext::end_tag() {
  if (closing_) {
    state_ = State::text;
  } else if (tag_ == "script") {
    state_ = State::script;
  } else if (tag_ == "style") {
    state_ = State::style;
  } else if (tag_ == "textarea" || tag_ == "title") {
    state_ = State::title;
  } else {
    state_ = State::text;
  }
  pending_.clear();
}

void HtmlContext::follow_url(char c) {
  if (c == '?' || c == '#') {
    url_ = UrlPart::query;
  } else if (url_ == UrlPart::start && !is_space(c)) {
    url_ = UrlPart::path;
  }
}

void HtmlContext::follow(std::string& out, char c) {
  const auto lower = static_cast<char>(is_alpha(c) ? c | 0x20 : c);
  // The end tag of raw text elements ends them wherever it stands.
  const auto raw = [&](std::string_view element) {
    pending_ += lower;
    const std::string end = fmt::format("</{}", element);
    if (pending_.size() > end.size()) pending_.erase(0, pending_.size() - end.size());
    if (pending_ == end) {
      state_ = State::tag;
      closing_ = true;
      pending_.clear();
      return true;
    }
    return false;
  };
  switch (state_) {
    case State::comment:
      pending_ += c;
      if (pending_.ends_with("-->")) {
        state_ = State::text;
        pending_.clear();
      } else if (pending_.size() > 3) {
        pending_.erase(0, pending_.size() - 3);
      }
      return;  // comments are not written
    case State::text:
      if (!pending_.empty()) {  // after `<`
        if (pending_ == "<" && is_alpha(c)) {
          state_ = State::tag_name;
          closing_ = false;
          tag_.assign(1, lower);
          pending_.clear();
          break;
        }
        if (pending_ == "<" && c == '/') {
          state_ = State::tag_name;
          closing_ = true;
          tag_.clear();
          pending_.clear();
          break;
        }
        pending_ += c;
        if (std::string_view("<!--").starts_with(pending_)) {
          if (pending_ == "<!--") {
            state_ = State::comment;
            pending_.clear();
            out.resize(out.size() - 3);  // `<!-` was written already
            return;
          }
          break;
        }
        pending_.clear();
      }
      if (c == '<') pending_ = "<";
      break;
    case State::tag_name:
      if (is_space(c) || c == '/') {
        state_ = State::tag;
      } else if (c == '>') {
        end_tag();
      } else {
        tag_ += lower;
      }
      break;
    case State::tag:
      if (c == '>') {
        end_tag();
      } else if (!is_space(c) && c != '/') {
        name_.assign(1, lower);
        state_ = State::attribute_name;
      }
      break;
    case State::attribute_name:
    case State::after_name:
      if (c == '=') {
        begin_attribute();
      } else if (c == '>') {
        end_tag();
      } else if (is_space(c)) {
        state_ = State::after_name;
      } else if (c == '/') {
        state_ = State::tag;
      } else if (state_ == State::after_name) {
        name_.assign(1, lower);
        state_ = State::attribute_name;
      } else {
        name_ += lower;
      }
      break;
    case State::before_value:
      if (c == '"') {
        state_ = State::value_double;
      } else if (c == '\'') {
        state_ = State::value_single;
      } else if (c == '>') {
        end_tag();
      } else if (!is_space(c)) {
        state_ = State::value_unquoted;
        follow_url(c);
      }
      break;
    case State::value_double:
    case State::value_single:
      if (c == (state_ == State::value_double ? '"' : '\'')) {
        end_attribute();
      } else {
        follow_url(c);
      }
      break;
    case State::value_unquoted:
      if (is_space(c)) {
        end_attribute();
      } else if (c == '>') {
        end_tag();
      } else {
        follow_url(c);
      }
      break;
    case State::title: raw(tag_); break;
    case State::style: raw("style"); break;
    case State::script:
      if (raw("script")) break;
      if (c == '"') state_ = State::script_double;
      if (c == '\'') state_ = State::script_single;
      if (c == '`') state_ = State::script_template;
      if (pending_.ends_with("//")) state_ = State::script_line_comment;
      if (pending_.ends_with("/*")) state_ = State::script_block_comment;
      break;
    case State::script_double:
    case State::script_single:
    case State::script_template: {
      if (raw("script")) break;
      const char end = state_ == State::script_double ? '"' : state_ == State::script_single ? '\'' : '`';
      if (c == end && !slash_before_) state_ = State::script;
      slash_before_ = c == '\\' && !slash_before_;
      break;
    }
    case State::script_line_comment:
      if (!raw("script") && (c == '\n' || c == '\r')) state_ = State::script;
      break;
    case State::script_block_comment:
      if (!raw("script") && pending_.ends_with("*/")) {
        state_ = State::script;
        pending_.clear();
      }
      break;
  }
  out += c;
}

Result<> HtmlContext::in_attribute(std::string& out, const Value& value, Arena& arena, bool quoted) {
  std::string text;
  switch (attribute_) {
    case Attribute::url: {
      const std::string url = printed(value);
      const bool safe = value.kind == Kind::string && value.type == Type::safe_url;
      if (url_ == UrlPart::query) {
        text = escape_url(url, safe);
      } else if (url_ == UrlPart::start && !safe && !is_safe_url(url)) {
        text = "#ZgotmplZ";
      } else {
        text = escape_url(url, true);
      }
      for (const char c : url) follow_url(c);
      break;
    }
    case Attribute::css:
      text = value.kind == Kind::string && value.type == Type::safe_css ? printed(value) : filter_css(printed(value));
      break;
    case Attribute::script: text = script_value(value, arena); break;
    case Attribute::plain:
      text = printed(value);
      if (value.kind == Kind::string && value.type == Type::safe_html) {
        // Its entities are meant; only what could end the attribute is escaped.
        std::string escaped;
        for (const char c : without_tags(text)) {
          if (c == '&') {
            escaped += c;
          } else {
            escape_html(escaped, std::string_view(&c, 1), !quoted);
          }
        }
        out += escaped;
        return {};
      }
      break;
  }
  if (!quoted && text.empty()) text = kUnsafe;  // an empty unquoted value would swallow what follows
  escape_html(out, text, !quoted);
  return {};
}

Result<> HtmlContext::value(std::string& out, const Value& value, Arena& arena) {
  if (state_ != State::script && state_ != State::comment) pending_.clear();
  switch (state_) {
    case State::text:
      if (value.kind == Kind::string && value.type == Type::safe_html) {
        out += value.string();
      } else {
        escape_html(out, printed(value), false);
      }
      return {};
    case State::title: escape_html(out, printed(value), false); return {};
    case State::comment: return {};
    case State::before_value: state_ = State::value_unquoted; return in_attribute(out, value, arena, false);
    case State::value_unquoted: return in_attribute(out, value, arena, false);
    case State::value_double:
    case State::value_single: return in_attribute(out, value, arena, true);
    case State::tag:
    case State::after_name:
    case State::attribute_name: {
      if (value.kind == Kind::string && value.type == Type::safe_attribute) {
        out += value.string();
        return {};
      }
      const std::string name = printed(value);
      const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), is_alnum);
      std::string lower = name;
      std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return is_alpha(c) ? c | 0x20 : c; });
      const bool harmless = plain && !lower.starts_with("on") && lower != "style" && lower != "src" && lower != "href";
      out += harmless ? name : std::string(kUnsafe);
      name_ += harmless ? lower : "zgotmplz";
      state_ = State::attribute_name;
      return {};
    }
    case State::tag_name: return fail(ErrorKind::bad_input, "a value cannot be part of the name of an HTML element");
    case State::script: {
      const std::string text = script_value(value, arena);
      out += text;
      pending_.clear();
      return {};
    }
    case State::script_double:
    case State::script_single: out += script_string(printed(value)); return {};
    case State::script_template:
      return fail(ErrorKind::bad_input, "a value cannot stand in a JavaScript template literal");
    case State::script_line_comment:
    case State::script_block_comment: return {};
    case State::style:
      out += value.kind == Kind::string && value.type == Type::safe_css ? printed(value) : filter_css(printed(value));
      return {};
  }
  return {};
}

}  // namespace tocayo::templates
