// Runs the tests of all pages. Called by tests/seeds/check.
// Usage: [JWT_SECRET=...] node seeds.mjs INSTALLED CHROMIUM STACKS
//   INSTALLED: the folder with the packages of package.json   CHROMIUM: its path
//   STACKS: the URLs of each stack, as JSON

import './room_by_query.mjs';
import './rooms_on_the_map.mjs';
import './two_users.mjs';
import './groups_with_files.mjs';
import './broadcast.mjs';
import './broadcast_in_a_terminal.mjs';
