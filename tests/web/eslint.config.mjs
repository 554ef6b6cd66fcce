/* The rules for the scripts of the page: those that ESLint recommends, and some that keep them plain. */

import js from '@eslint/js';
import globals from 'globals';

export default [
    js.configs.recommended,
    {
        languageOptions: { ecmaVersion: 2022, sourceType: 'module', globals: globals.browser },
        linterOptions: { reportUnusedDisableDirectives: 'error' },
        rules: {
            'no-var': 'error',
            'prefer-const': 'error',
            eqeqeq: ['error', 'always'],
            'no-eval': 'error',
            'no-implied-eval': 'error',
            'no-new-func': 'error',
            'no-script-url': 'error',
            'no-implicit-globals': 'error',
            'no-shadow': 'error',
            /* Names of files and XML lose their control characters. */
            'no-control-regex': 'off',
            'no-throw-literal': 'error',
            'no-unused-vars': ['error',
                { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
            'no-restricted-properties': ['error',
                { property: 'innerHTML', message: 'Build elements, so that no text becomes HTML.' },
                { property: 'outerHTML', message: 'Build elements, so that no text becomes HTML.' },
                { property: 'insertAdjacentHTML', message: 'Build elements.' }],
        },
    },
];
