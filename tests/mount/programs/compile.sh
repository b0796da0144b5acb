#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# compile.sh DIRECTORY SCRATCH HELPERS
#
# A C project of 60 files with dependency files, an archive, a shared library
# and a program, built by two jobs; run from there; and built again with
# nothing left to do but what changed.
set -eu
dir=$1
cd "$dir"
mkdir src obj

for ((i = 0; i < 60; i++)); do
	cat >"src/part$i.c" <<-C
		#include "parts.h"
		#include <stdio.h>
		#include <string.h>
		int part$i(int x)
		{
			char text[32];
			snprintf(text, sizeof(text), "%d", x + $i);
			return (int)strlen(text) + x;
		}
	C
	echo "int part$i(int x);"
done >src/parts.h
{
	echo '#include "parts.h"'
	echo '#include <stdio.h>'
	echo 'int main(void) { int x = 0;'
	for ((i = 0; i < 60; i++)); do
		echo "x = part$i(x);"
	done
	echo 'printf("%d\n", x); return 0; }'
} >src/main.c
cat >Makefile <<'MAKE'
PARTS := $(patsubst src/%.c,obj/%.o,$(wildcard src/part*.c))
all: program linked
program: obj/main.o libparts.a
	$(CC) -o $@ $^
linked: obj/main.o libparts.so
	$(CC) -o $@ $^ -Wl,-rpath,'$$ORIGIN'
libparts.a: $(PARTS)
	rm -f $@
	ar rcs $@ $^
libparts.so: $(PARTS)
	$(CC) -shared -o $@ $^
obj/%.o: src/%.c
	$(CC) -O0 -fPIC -MMD -c -o $@ $<
-include $(wildcard obj/*.d)
MAKE

make -j2 -s CC=cc
[[ $(./program) -gt 0 && $(./program) == "$(./linked)" ]]
# Times must be right to the nanosecond for this.
make -q CC=cc
sleep 0.02
touch src/part7.c
[[ $(make -n CC=cc | grep -c -- ' -c ') -eq 1 ]]
make -j2 -s CC=cc
make -q CC=cc
