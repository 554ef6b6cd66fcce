// Redocly's rules, without the rest of its program: redocly.cjs DOCUMENT. Every message,
// a warning too, is a failure.

const { createConfig, formatProblems, lint } = require('@redocly/openapi-core');

async function main() {
    const config = await createConfig({ extends: ['recommended'] });
    const problems = await lint({ ref: process.argv[2], config });
    const totals = { errors: 0, warnings: problems.length, ignored: 0 };
    formatProblems(problems, { format: 'stylish', totals, version: '' });
    process.exitCode = problems.length > 0 ? 1 : 0;
}

main();
