/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the driver says, each line with the step and the fault it is about.
 */
#ifndef MSYNCFS_TESTS_FAULT_REPORT_H
#define MSYNCFS_TESTS_FAULT_REPORT_H

extern const char *step_name;
extern char fault_text[160]; /* empty: none just now */
extern unsigned faults_tried;
extern unsigned complaints;

/* Ends the program: the test itself can't go on. */
void give_up(const char *what) __attribute__((noreturn));

/* Says what is wrong with the daemon. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Ends the program: what comes now would only say the same again. */
void end_sweep(const char *why) __attribute__((noreturn));

/* "EIO" and its like. */
const char *errno_name(int error);

#endif
