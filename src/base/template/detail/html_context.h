// SPDX-License-Identifier: Apache-2.0
// Where in an HTML text the output stands, and how a value must be escaped there (html/template's rules). The context
// follows the output as it is written, so every path is escaped for where it really is.
#pragma once

#include <string>
#include <string_view>

#include "core/error.h"
#include "template/value.h"

namespace tocayo::templates {

class HtmlContext {
 public:
  // Appends literal text of the template, without its HTML comments, and follows it.
  void literal(std::string& out, std::string_view text);
  // Appends a value. bad_input where no value may stand.
  Result<> value(std::string& out, const Value& value, Arena& arena);

 private:
  enum class State : unsigned char {
    text,
    tag,
    tag_name,
    attribute_name,
    after_name,
    before_value,
    value_double,
    value_single,
    value_unquoted,
    comment,
    script,
    script_double,
    script_single,
    script_template,
    script_line_comment,
    script_block_comment,
    style,
    title  // text only: textarea, title
  };
  enum class Attribute : unsigned char { plain, url, css, script };
  enum class UrlPart : unsigned char { start, path, query };

  void follow(std::string& out, char c);
  void begin_attribute();
  void end_attribute();
  void end_tag();
  void follow_url(char c);
  Result<> in_attribute(std::string& out, const Value& value, Arena& arena, bool quoted);

  State state_ = State::text;
  Attribute attribute_ = Attribute::plain;
  UrlPart url_ = UrlPart::start;
  bool closing_ = false;       // </tag
  bool slash_before_ = false;  // script: a backslash stands before
  std::string tag_;
  std::string name_;     // of the attribute
  std::string pending_;  // the beginning of what may be `<!--`, `-->`, `</script`
};

}  // namespace tocayo::templates
