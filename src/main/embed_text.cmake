# SPDX-License-Identifier: Apache-2.0
# cmake -DINPUT=<text file> -DOUTPUT=<file.cpp> -DNAME=<identifier> -P embed_text.cmake: the text as a C++ array in namespace
# tocayo, with its size as <NAME>Size.
file(READ "${INPUT}" text)
set(end "EMBEDDED_TEXT")
string(FIND "${text}" ")${end}\"" found)
if(NOT found EQUAL -1)
  message(FATAL_ERROR "${INPUT} contains the end of a raw string")
endif()
file(WRITE "${OUTPUT}" "// Generated from ${INPUT}.\nnamespace tocayo {\nextern const char ${NAME}[];\nextern const unsigned long ${NAME}Size;\n"
  "const char ${NAME}[] = R\"${end}(${text})${end}\";\nconst unsigned long ${NAME}Size = sizeof ${NAME} - 1;\n}  // namespace tocayo\n")
