#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
What a browser does to its profile: databases, files that are replaced, a cache.

    browser.py browse PROFILE PAGES    so many more pages, 0 for endlessly
    browser.py check PROFILE LEAST     prints the last page that is known

Each page is a transaction in places.sqlite, every second one also in
cookies.sqlite, and six files in the cache; after every tenth (BROWSER_EVERY)
the session and the preferences are written to another name and renamed, the
first with fsync.

`check` wants no fault in the databases, all pages from the first to at least
LEAST, JSON that is JSON, and cache files that are a beginning of what they
should be, as whatever is being written; and that all of it is of one instant:
no file knows of a page that is not in places.sqlite or lags behind it by more
than the program does.
"""
import hashlib
import json
import os
import sqlite3
import sys

# Pages between two replacements of files; files in the cache for each page.
EVERY = int(os.environ.get('BROWSER_EVERY', '10'))
CACHE = 6


def connect(profile, name, mode):
    database = sqlite3.connect(os.path.join(profile, name), timeout=30,
                               isolation_level=None)
    database.execute(f'PRAGMA journal_mode={mode}')
    database.execute('PRAGMA synchronous=FULL')
    database.execute('PRAGMA wal_autocheckpoint=40')
    return database


def databases(profile):
    places = connect(profile, 'places.sqlite', 'WAL')
    cookies = connect(profile, 'cookies.sqlite', 'DELETE')
    places.execute('CREATE TABLE IF NOT EXISTS visit(page INTEGER PRIMARY KEY, '
                   'url TEXT)')
    places.execute('CREATE INDEX IF NOT EXISTS visit_url ON visit(url)')
    cookies.execute('CREATE TABLE IF NOT EXISTS cookie(host INTEGER '
                    'PRIMARY KEY, page INTEGER)')
    return places, cookies


def last_page(database, table):
    return database.execute(
        f'SELECT coalesce(max(page), 0) FROM {table}').fetchone()[0]


def url(page):
    return 'https://www.example.org/' + hashlib.sha1(b'%d' % page).hexdigest()


def cache_file(profile, page, number):
    name = hashlib.sha1(b'%d %d' % (page, number)).hexdigest()
    return (os.path.join(profile, 'cache', name[:2],
                         f'{page}.{number}.{name[2:8]}'))


def cache_content(page, number):
    key = hashlib.sha1(b'content of %d %d' % (page, number)).digest()
    return key * (1 + key[0] * key[1] // 32)


def replace(profile, name, page, synced):
    path = os.path.join(profile, name)
    tabs = [{'url': url(n), 'page': n} for n in range(max(1, page - 40), page)]
    with open(path + '.tmp', 'w', encoding='utf-8') as file:
        json.dump({'page': page, 'tabs': tabs, 'end': page}, file)
        file.flush()
        if synced:
            os.fsync(file.fileno())
    os.rename(path + '.tmp', path)


def load(profile, page):
    for number in range(CACHE):
        path = cache_file(profile, page, number)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(cache_content(page, number))


def browse(profile, pages):
    places, cookies = databases(profile)
    page = last_page(places, 'visit')
    end = page + pages if pages else None
    # What was shown last comes up again.
    load(profile, page)
    while page != end:
        page += 1
        places.execute('INSERT INTO visit VALUES(?, ?)', (page, url(page)))
        if page % 2 == 0:
            cookies.execute('INSERT OR REPLACE INTO cookie VALUES(?, ?)',
                            (page % 97, page))
        load(profile, page)
        if page % EVERY == 0:
            replace(profile, 'sessionstore.json', page, True)
            replace(profile, 'prefs.json', page, False)


def expect(condition, *words):
    if not condition:
        print(*words)
        sys.exit(1)


def check_databases(profile, least):
    places, cookies = databases(profile)
    for database in (places, cookies):
        found = database.execute('PRAGMA integrity_check').fetchall()
        expect(found == [('ok',)], 'integrity_check:', found)
    last = last_page(places, 'visit')
    count = 0
    for page, text in places.execute('SELECT page, url FROM visit'):
        count += 1
        expect(text == url(page), 'page', page, 'has another address')
    expect(count == last, count, 'pages, the last one is', last)
    expect(last >= least, 'pages up to', last, 'but', least, 'were saved')
    cookie = last_page(cookies, 'cookie')
    expect(last - 3 <= cookie <= last or last < 2,
           'cookies of page', cookie, 'beside', last, 'pages')
    return last


def check_files(profile, last):
    for name in ('sessionstore.json', 'prefs.json'):
        path = os.path.join(profile, name)
        if not os.path.exists(path):
            # The second may be missing when its first replacement was due.
            expect(last <= EVERY, name, 'is missing after', last, 'pages')
            continue
        with open(path, encoding='utf-8') as file:
            found = json.load(file)
        expect(found['page'] == found['end'], name, 'is of two pages')
        expect(found['page'] <= last <= found['page'] + EVERY,
               name, 'is of page', found['page'], 'beside', last, 'pages')


def check_cache(profile, last):
    found = 0
    for directory, _, names in os.walk(os.path.join(profile, 'cache')):
        for name in names:
            page, number, _ = name.split('.')
            path = os.path.join(directory, name)
            with open(path, 'rb') as file:
                content = file.read()
            full = cache_content(int(page), int(number))
            expect(full.startswith(content), path, 'has other bytes')
            # The last page may have been loading; of what came later there
            # are the names.
            expect(int(page) >= last or content == full,
                   path, 'has', len(content), 'bytes of', len(full),
                   'beside', last, 'pages')
            found += int(page) < last
    expect(found >= (last - 1) * CACHE, found, 'files in the cache of', last,
           'pages')


def check_leftovers(profile):
    known = {'places.sqlite', 'places.sqlite-wal', 'places.sqlite-shm',
             'cookies.sqlite', 'cookies.sqlite-journal', 'cache',
             'sessionstore.json', 'sessionstore.json.tmp', 'prefs.json',
             'prefs.json.tmp'}
    more = set(os.listdir(profile)) - known
    expect(not more, 'not the browser\'s:', more)


def main():
    verb, profile, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if verb == 'browse':
        browse(profile, number)
        return
    last = check_databases(profile, number)
    check_files(profile, last)
    check_cache(profile, last)
    check_leftovers(profile)
    print(last)


main()
