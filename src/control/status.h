/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be read of a file or the mount, as text for people and programs:
 * lines KEY=VALUE. Any thread.
 */
#ifndef MSYNCFS_CONTROL_STATUS_H
#define MSYNCFS_CONTROL_STATUS_H

#include <stdio.h>

struct filesystem;
struct inode_handle;
struct node;

/* Each 0 or -errno. */
int status_of_node(struct filesystem *fs, struct node *node,
		   const struct inode_handle *inode, FILE *out);
int status_of_mount(struct filesystem *fs, FILE *out);
int status_of_files(struct filesystem *fs, FILE *out);
int status_residency(struct filesystem *fs, struct node *node, FILE *out);
int status_residency_map(struct filesystem *fs, struct node *node, FILE *out);

#endif
