// SPDX-License-Identifier: Apache-2.0
#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *step_name = "";
char fault_text[160];
unsigned faults_tried;
unsigned complaints;

void give_up(const char *what)
{
	printf("%s: the test can't go on: %s: %s\n", step_name, what,
	       strerror(errno));
	exit(2);
}

void complain(const char *format, ...)
{
	va_list arguments;

	printf("%s%s%s: ", step_name, fault_text[0] ? ", " : "", fault_text);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
	complaints++;
}

void end_sweep(const char *why)
{
	printf("%s: %u faults, %u complaints, and no more: %s\n", step_name,
	       faults_tried, complaints, why);
	exit(1);
}

const char *errno_name(int error)
{
	const char *name = strerrorname_np(error);

	return name ? name : "0";
}
