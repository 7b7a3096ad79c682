// Reads the stream with modesl and prints CPU microseconds an event and events a second.
'use strict';
const esl = require('modesl');
const [port, events] = process.argv.slice(2).map(Number);
const names = ['Unique-ID', 'Caller-Caller-ID-Number', 'variable_sip_call_id', 'Event-Sequence'];
const began = process.hrtime.bigint();
const used = process.cpuUsage();
let read = 0;
const connection = new esl.Connection('127.0.0.1', port, 'ClueCon');
connection.on('esl::event::**', (event) => {
  for (const name of names) event.getHeader(name);
  read += 1;
  if (read === events) {
    const { user, system } = process.cpuUsage(used);
    const seconds = Number(process.hrtime.bigint() - began) / 1e9;
    console.log((user + system) / events, events / seconds);
    process.exit(0);
  }
});
