// SPDX-License-Identifier: Apache-2.0
/*
 * A native addon for Node.js that maps a file into an ArrayBuffer, in the way
 * that such addons do it.
 *
 *	map(path, length) -> ArrayBuffer	shared, readable and writable
 *	sync(buffer)				msync, MS_SYNC
 *	unmap(buffer)				detaches the buffer first
 */
#include <errno.h>
#include <fcntl.h>
#include <node_api.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static napi_value throw_error(napi_env env, const char *what)
{
	napi_throw_error(env, strerrorname_np(errno), what);
	return NULL;
}

static void *map_file(const char *path, size_t length)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	void *map;

	if (fd < 0)
		return MAP_FAILED;
	map = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	/* The mapping keeps the file. */
	close(fd);
	return map;
}

static napi_value addon_map(napi_env env, napi_callback_info info)
{
	napi_value arg[2];
	napi_value buffer;
	size_t count = 2;
	char path[4096];
	int64_t length;
	void *map;

	if (napi_get_cb_info(env, info, &count, arg, NULL, NULL) != napi_ok ||
	    napi_get_value_string_utf8(env, arg[0], path, sizeof(path),
				       NULL) != napi_ok ||
	    napi_get_value_int64(env, arg[1], &length) != napi_ok) {
		errno = EINVAL;
		return throw_error(env, "map(path, length)");
	}
	map = map_file(path, (size_t)length);
	if (map == MAP_FAILED)
		return throw_error(env, path);
	if (napi_create_external_arraybuffer(env, map, (size_t)length, NULL,
					     NULL, &buffer) != napi_ok) {
		munmap(map, (size_t)length);
		errno = ENOMEM;
		return throw_error(env, "no ArrayBuffer");
	}
	return buffer;
}

static int buffer_of(napi_env env, napi_callback_info info, napi_value *buffer,
		     void **map, size_t *length)
{
	size_t count = 1;

	if (napi_get_cb_info(env, info, &count, buffer, NULL, NULL) ==
		    napi_ok &&
	    napi_get_arraybuffer_info(env, *buffer, map, length) == napi_ok)
		return 0;
	errno = EINVAL;
	return -1;
}

static napi_value addon_sync(napi_env env, napi_callback_info info)
{
	napi_value buffer;
	size_t length;
	void *map;

	if (buffer_of(env, info, &buffer, &map, &length) < 0 ||
	    msync(map, length, MS_SYNC) < 0)
		return throw_error(env, "sync");
	return NULL;
}

static napi_value addon_unmap(napi_env env, napi_callback_info info)
{
	napi_value buffer;
	size_t length;
	void *map;

	if (buffer_of(env, info, &buffer, &map, &length) < 0 ||
	    napi_detach_arraybuffer(env, buffer) != napi_ok ||
	    munmap(map, length) < 0)
		return throw_error(env, "unmap");
	return NULL;
}

/* The name that Node.js looks for. */
NAPI_MODULE_EXPORT napi_value napi_register_module_v1(napi_env env,
						      napi_value exports);

napi_value napi_register_module_v1(napi_env env, napi_value exports)
{
	static const struct {
		const char *name;
		napi_callback call;
	} functions[] = {
		{ "map", addon_map },
		{ "sync", addon_sync },
		{ "unmap", addon_unmap },
	};

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		napi_value function;

		if (napi_create_function(env, functions[i].name,
					 NAPI_AUTO_LENGTH, functions[i].call,
					 NULL, &function) != napi_ok ||
		    napi_set_named_property(env, exports, functions[i].name,
					    function) != napi_ok)
			return NULL;
	}
	return exports;
}
