# SPDX-License-Identifier: Apache-2.0
# tocayo_embed_migrations(room): compiles migrations/NNNN_name.sql of the calling folder into the room as
# `std::span<const tocayo::db::Migration> tocayo::<room>::migrations()`, ascending by number.
# A room on db: include(${CMAKE_SOURCE_DIR}/src/durable/db/embed_migrations.cmake), tocayo_room(…), tocayo_embed_migrations(<room>).

function(tocayo_embed_migrations room)
  file(GLOB scripts CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/migrations/*.sql)
  list(SORT scripts)
  set(entries "")
  foreach(script ${scripts})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${script})
    get_filename_component(file ${script} NAME_WE)
    if(NOT file MATCHES "^([0-9][0-9][0-9][0-9])_([a-z0-9_]+)$")
      message(FATAL_ERROR "${script}: a migration is named NNNN_what_it_does.sql")
    endif()
    set(number ${CMAKE_MATCH_1})
    set(name ${CMAKE_MATCH_2})
    file(READ ${script} text)
    math(EXPR number "1${number} - 10000")
    string(APPEND entries "  {${number}, \"${name}\", R\"tcysql(${text})tcysql\"},\n")
  endforeach()
  set(output ${CMAKE_CURRENT_BINARY_DIR}/${room}_migrations.cpp)
  file(CONFIGURE OUTPUT ${output} @ONLY CONTENT
"// Generated from migrations/*.sql.
#include <span>

#include \"db/migrations.h\"

namespace tocayo::${room} {

namespace {
constexpr db::Migration kMigrations[] = {
${entries}};
}  // namespace

std::span<const db::Migration> migrations() { return kMigrations; }

}  // namespace tocayo::${room}
")
  target_sources(tocayo_${room} PRIVATE ${output})
endfunction()
